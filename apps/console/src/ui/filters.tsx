import { SearchOutlined } from '@ant-design/icons'
import { Input, Select, Tag } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useFilters } from '../app/use-filters.ts'

const typingPauseMs = 300

/** A search box whose text goes to the address once the typing pauses. */
export function SearchFilter({ name = 'search', placeholder }: { name?: string; placeholder: string }) {
  const [filters, change] = useFilters()
  const applied = filters[name] ?? ''
  const [text, setText] = useState(applied)
  useEffect(() => setText(applied), [applied])
  useEffect(() => {
    if (text === applied) return
    const timer = setTimeout(() => change({ [name]: text }), typingPauseMs)
    return () => clearTimeout(timer)
  })
  return (
    <Input
      allowClear
      prefix={<SearchOutlined />}
      style={{ width: 300 }}
      aria-label={placeholder}
      placeholder={placeholder}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  )
}

/** A choice of one value of a filter. */
export function SelectFilter({
  name,
  label,
  options,
}: {
  name: string
  label: string
  options: { value: string; label: string }[]
}) {
  const [filters, change] = useFilters()
  return (
    <Select
      allowClear
      style={{ minWidth: 150 }}
      aria-label={label}
      placeholder={label}
      options={options}
      value={filters[name] ?? null}
      onChange={(value: string | null | undefined) => change({ [name]: value ?? undefined })}
    />
  )
}

/** Filters that came by a link and have no control of their own, to be taken away one by one. */
export function LinkedFilters({ names }: { names: string[] }) {
  const { t } = useTranslation()
  const [filters, change] = useFilters()
  return names
    .filter((name) => filters[name] !== undefined)
    .map((name) => (
      <Tag key={name} closable style={{ alignSelf: 'center' }} onClose={() => change({ [name]: undefined })}>
        {t('common.only')}{' '}
        <span className="mono">
          {name}={filters[name]?.slice(0, 16)}
        </span>
      </Tag>
    ))
}
