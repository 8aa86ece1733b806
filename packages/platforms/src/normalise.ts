// Most texts are normal already, and inventories are compared by the ten thousand: those cost no new string.
const normalUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const normalMac = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

/** A uuid in lower case with dashes; null for what is none, or for the all-zero and all-f ones that mean "unset". */
export function normaliseUuid(text: string | null | undefined): string | null {
  if (text && normalUuid.test(text)) return /^([0-]+|[f-]+)$/.test(text) ? null : text
  const hex = (text ?? '').toLowerCase().replace(/[^0-9a-f]/g, '')
  if (hex.length !== 32 || /^(0+|f+)$/.test(hex)) return null
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The same uuid with its first three groups in the other byte order (SMBIOS 2.6 section 7.2.1: they are little-endian). */
export function swapUuid(uuid: string): string {
  return uuid.replace(/^(..)(..)(..)(..)-(..)(..)-(..)(..)/, '$4$3$2$1-$6$5-$8$7')
}

/** A MAC in lower case with colons; null for what is none, or for all zeros. */
export function normaliseMac(text: string | null | undefined): string | null {
  if (text && normalMac.test(text)) return /^[0:]+$/.test(text) ? null : text
  const hex = (text ?? '').toLowerCase().replace(/[^0-9a-f]/g, '')
  if (hex.length !== 12 || /^0+$/.test(hex)) return null
  return (hex.match(/../g) ?? []).join(':')
}
