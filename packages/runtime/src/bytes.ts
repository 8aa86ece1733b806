const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `64MiB`, `1.5 GiB`, `512` as bytes; undefined when it is none of these. Binary units only. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|PiB)?$/.exec(text.trim())
  if (match === null) return undefined
  return Math.round(Number(match[1]) * 1024 ** units.indexOf(match[2] ?? 'B'))
}

/** Bytes with a binary unit, e.g. `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`
}
