/**
 * File names on Linux are bytes, not text. On the wire, in the database and on a page a path is a reversible
 * string: valid UTF-8 stays as it is, a backslash becomes `\\`, control characters and bytes that are not
 * UTF-8 become `\xNN`. `decodePath(encodePath(bytes))` is always `bytes`.
 */
const strictDecoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

function escapeByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

// Control, bidi and separator characters would let a file name repaint the page or the terminal around it.
const unsafeCharacters = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

function escapeText(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replace(unsafeCharacters, (character) => [...encoder.encode(character)].map(escapeByte).join(''))
}

/** Length in bytes of the UTF-8 sequence that a lead byte announces; 0 when it is no lead byte. */
function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1
  if (lead >= 0xc2 && lead <= 0xdf) return 2
  if (lead >= 0xe0 && lead <= 0xef) return 3
  if (lead >= 0xf0 && lead <= 0xf4) return 4
  return 0
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Encodes raw path bytes as a printable, reversible string. */
export function encodePath(bytes: Uint8Array): string {
  // TextDecoder drops a leading byte order mark, which would not come back.
  const hasByteOrderMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  const whole = hasByteOrderMark ? undefined : decodeStrictly(bytes)
  if (whole !== undefined) return escapeText(whole)
  let text = ''
  for (let index = 0; index < bytes.length; ) {
    const lead = bytes[index] ?? 0
    const length = sequenceLength(lead)
    const part = length === 0 ? undefined : decodeStrictly(bytes.subarray(index, index + length))
    if (part === undefined || part === '') {
      text += escapeByte(lead)
      index += 1
    } else {
      text += escapeText(part)
      index += length
    }
  }
  return text
}

/** Decodes what `encodePath` made. Unknown escapes are taken literally, so that any typed path is accepted. */
export function decodePath(text: string): Uint8Array {
  const parts: number[] = []
  let literal = ''
  const flush = () => {
    if (literal !== '') parts.push(...encoder.encode(literal))
    literal = ''
  }
  for (let index = 0; index < text.length; ) {
    if (text.startsWith('\\\\', index)) {
      literal += '\\'
      index += 2
      continue
    }
    const hex = /^\\x([0-9a-f]{2})/.exec(text.slice(index, index + 4))?.[1]
    if (hex !== undefined) {
      flush()
      parts.push(Number.parseInt(hex, 16))
      index += 4
      continue
    }
    literal += text[index]
    index += 1
  }
  flush()
  return Uint8Array.from(parts)
}
