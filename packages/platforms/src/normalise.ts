/** A uuid in lower case with dashes; null for what is none, or for the all-zero and all-f ones that mean "unset". */
export function normaliseUuid(text: string | null | undefined): string | null {
  const hex = (text ?? '').toLowerCase().replace(/[^0-9a-f]/g, '')
  if (hex.length !== 32 || /^(0+|f+)$/.test(hex)) return null
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The same uuid with its first three groups in the other byte order (SMBIOS 2.6 section 7.2.1: they are little-endian). */
export function swapUuid(uuid: string): string {
  const swap = (group: string) => (group.match(/../g) ?? []).reverse().join('')
  const [a = '', b = '', c = '', ...rest] = uuid.split('-')
  return [swap(a), swap(b), swap(c), ...rest].join('-')
}

/** A MAC in lower case with colons; null for what is none, or for all zeros. */
export function normaliseMac(text: string | null | undefined): string | null {
  const hex = (text ?? '').toLowerCase().replace(/[^0-9a-f]/g, '')
  if (hex.length !== 12 || /^0+$/.test(hex)) return null
  return (hex.match(/../g) ?? []).join(':')
}
