import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { systemClock } from '@ringwall/runtime'
import { describe, expect, it } from 'vitest'
import { createPinnedHttp } from './http.ts'
import { selfSignedCertificate } from './simulators/tls.ts'
import { never } from './testing/connect.ts'

/** Answers one request of each connection, keeps it open, and ends it without a word when it is used again. */
async function startForgetfulServer() {
  const { fingerprint, ...certificate } = await selfSignedCertificate('forgetful')
  const answered = new WeakSet<Socket>()
  const served: string[] = []
  const server = createServer(certificate, (request, response) => {
    if (answered.has(request.socket)) return request.socket.destroy()
    answered.add(request.socket)
    served.push(`${request.method} ${request.url}`)
    response.end('ok')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const http = createPinnedHttp({
    host: '127.0.0.1',
    port,
    fingerprint,
    requestsPerSecond: 1000,
    clock: systemClock,
    recorder: undefined,
  })
  const close = async () => {
    http.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { http, served, [Symbol.asyncDispose]: close }
}

describe('pinned HTTPS', () => {
  it('reads again when a connection that was kept open is found closed, and never sends anything else twice', async () => {
    await using server = await startForgetfulServer()
    const send = (method: 'GET' | 'POST', path: string) => server.http.send({ method, path, signal: never })
    expect(await send('GET', '/1')).toMatchObject({ status: 200, body: 'ok' })
    expect(await send('GET', '/2')).toMatchObject({ status: 200, body: 'ok' })
    await expect(send('POST', '/3')).rejects.toMatchObject({ code: 'unavailable' })
    expect(server.served).toEqual(['GET /1', 'GET /2'])
  })
})
