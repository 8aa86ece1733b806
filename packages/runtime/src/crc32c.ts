/** CRC32C (Castagnoli), RFC 3720 section B.4. Slicing-by-8: eight table look-ups for eight bytes. */
const polynomial = 0x82f63b78
const tables = makeTables()

function makeTables(): Uint32Array[] {
  const made = Array.from({ length: 8 }, () => new Uint32Array(256))
  const first = made[0] ?? new Uint32Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    first[byte] = value >>> 0
  }
  for (let slice = 1; slice < 8; slice += 1) {
    const table = made[slice] ?? first
    const before = made[slice - 1] ?? first
    for (let byte = 0; byte < 256; byte += 1) {
      const value = before[byte] ?? 0
      table[byte] = ((value >>> 8) ^ (first[value & 0xff] ?? 0)) >>> 0
    }
  }
  return made
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
]

/** The checksum of `bytes`; pass the checksum so far as `seed` to go on with a stream. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return crc32cOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length, seed)
}

/** The checksum of a part of a view: no object is made for it. */
export function crc32cOf(view: DataView, start: number, end: number, seed = 0): number {
  let crc = ~seed >>> 0
  let index = start
  for (; index + 8 <= end; index += 8) {
    const low = (crc ^ view.getUint32(index, true)) >>> 0
    const high = view.getUint32(index + 4, true)
    crc =
      ((t7[low & 0xff] ?? 0) ^
        (t6[(low >>> 8) & 0xff] ?? 0) ^
        (t5[(low >>> 16) & 0xff] ?? 0) ^
        (t4[low >>> 24] ?? 0) ^
        (t3[high & 0xff] ?? 0) ^
        (t2[(high >>> 8) & 0xff] ?? 0) ^
        (t1[(high >>> 16) & 0xff] ?? 0) ^
        (t0[high >>> 24] ?? 0)) >>>
      0
  }
  for (; index < end; index += 1) crc = ((crc >>> 8) ^ (t0[(crc ^ view.getUint8(index)) & 0xff] ?? 0)) >>> 0
  return ~crc >>> 0
}
