import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { readBody } from './body.ts'

/** Serves one request, of which the bytes come in these pieces, and ends the connection after them if `isCut`. */
async function received<T>(
  sizeBytes: number,
  pieces: Buffer[],
  read: (request: IncomingMessage) => Promise<T>,
  isCut = false,
): Promise<T> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  try {
    const outcome = new Promise<T>((resolve, reject) => {
      server.on('request', (request) => void read(request).then(resolve, reject))
    })
    socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${sizeBytes}\r\n\r\n`)
    for (const piece of pieces) {
      await new Promise((resolve) => setImmediate(resolve))
      socket.write(piece)
    }
    if (isCut) socket.destroySoon()
    return await outcome
  } finally {
    socket.destroy()
    server.close()
    server.closeAllConnections()
  }
}

describe('a body', () => {
  const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 251))

  it('is read as a whole, in however many pieces it comes', async () => {
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 9000), bytes.subarray(9000)]
    const read = (request: IncomingMessage) => readBody(request, bytes.length)
    expect(await received(bytes.length, pieces, read)).toEqual(bytes)
    expect(await received(0, [], (request) => readBody(request, 0))).toHaveLength(0)
  })

  it('that ends early is told so, also when nobody was listening yet', async () => {
    const half = [bytes.subarray(0, 5000)]
    const truncated = { code: 'upload_truncated', params: { expected: 10_000 } }
    const read = (request: IncomingMessage) => readBody(request, bytes.length)
    await expect(received(bytes.length, half, read, true)).rejects.toMatchObject(truncated)
    const readLate = async (request: IncomingMessage) => {
      await new Promise((resolve) => request.socket.once('close', resolve))
      await new Promise((resolve) => setImmediate(resolve))
      return await readBody(request, bytes.length)
    }
    await expect(received(bytes.length, half, readLate, true)).rejects.toMatchObject(truncated)
  })
})
