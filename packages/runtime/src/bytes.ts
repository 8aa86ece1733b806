const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `64MiB`, `1.5 GiB`, `512` as bytes; undefined when it is none of these. Binary units only. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|PiB)?$/.exec(text.trim())
  if (match === null) return undefined
  const sizeBytes = Math.round(Number(match[1]) * 1024 ** units.indexOf(match[2] ?? 'B'))
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined
}

/** Bytes with a binary unit, e.g. `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let power = 0
  // 1023.95 would be shown as 1024.0: that is one of the next unit.
  while (value >= (power === 0 ? 1024 : 1023.95) && power < units.length - 1) {
    value /= 1024
    power += 1
  }
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`
}
