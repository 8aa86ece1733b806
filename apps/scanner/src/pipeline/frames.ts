/** Length-prefixed frames on a pipe between the scanner and its engine processes: u32 LE length, then bytes. */
export function frame(...parts: Uint8Array[]): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0))
  return Buffer.concat([length, ...parts])
}

/** Cuts a byte stream into frames. Throws RangeError beyond `maxBytes`. */
export function createFrameReader(
  maxBytes: number,
  onFrame: (bytes: Buffer) => void,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = []
  let gathered = 0
  let wanted: number | undefined
  return (chunk) => {
    chunks.push(chunk)
    gathered += chunk.length
    while (gathered >= (wanted ?? 4)) {
      const all = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
      const length = wanted ?? 4
      const part = all.subarray(0, length)
      const rest = all.subarray(length)
      chunks = rest.length > 0 ? [rest] : []
      gathered = rest.length
      if (wanted === undefined) {
        wanted = part.readUInt32LE()
        if (wanted > maxBytes) throw new RangeError(`frame of ${wanted} bytes`)
      } else {
        wanted = undefined
        onFrame(part)
      }
    }
  }
}
