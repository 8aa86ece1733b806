import { useSyncExternalStore } from 'react'
import type { ColorMode } from './theme.ts'

const storageKey = 'ringwall-color-mode'
const listeners = new Set<() => void>()
const darkPreference = matchMedia('(prefers-color-scheme: dark)')
darkPreference.addEventListener('change', () => {
  for (const listener of listeners) listener()
})

function colorMode(): ColorMode {
  const stored = localStorage.getItem(storageKey)
  if (stored === 'light' || stored === 'dark') return stored
  return darkPreference.matches ? 'dark' : 'light'
}

/** The color mode chosen in this browser, else the system's. */
export function useColorMode(): ColorMode {
  return useSyncExternalStore((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, colorMode)
}

export function setColorMode(mode: ColorMode): void {
  localStorage.setItem(storageKey, mode)
  for (const listener of listeners) listener()
}
