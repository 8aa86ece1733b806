import { useNavigate, useSearch } from '@tanstack/react-router'

/** The filters in the address of this page, and a way to change some of them; an empty value takes one away. */
export function useFilters(): [
  Record<string, string | undefined>,
  (change: Record<string, string | undefined>) => void,
] {
  const search: Record<string, string | undefined> = useSearch({ strict: false })
  const navigate = useNavigate()
  const change = (changes: Record<string, string | undefined>) => {
    const merged = { ...search, ...changes }
    const kept = Object.fromEntries(
      Object.entries(merged).filter(([, value]) => value !== undefined && value !== ''),
    )
    void navigate({ to: '.', search: kept as never, replace: true })
  }
  return [search, change]
}
