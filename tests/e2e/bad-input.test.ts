import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { canMount, createSite, eicar, type Json, runProgram, type Site, waitFor } from './harness.ts'

type Identity = { id: string; keyPem: string; certificatePem: string; caPem: string; ratchet: string }

let site: Site
let machineId: string
let identity: Identity

beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
  machineId = await site.startAgent()
  identity = JSON.parse(readFileSync(join(site.homeOf('agent'), 'agent/identity.json'), 'utf8')) as Identity
})
afterAll(async () => await site?.close())

const own = () => ({ key: identity.keyPem, cert: identity.certificatePem, ca: identity.caPem })
/** A scanner is known by its name in the certificate, not by its address. */
const tls = () => ({ ...own(), checkServerIdentity: () => undefined })

/** A request to the scanner as an agent makes it, but with whatever body and length. */
function toScanner(
  method: string,
  path: string,
  body: Buffer,
  options: { contentLength?: number; cutOff?: boolean } = {},
): Promise<{ status: number; code: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port: site.scannerPort,
      method,
      path,
      ...tls(),
      headers: { 'content-length': options.contentLength ?? body.length },
    })
    call.on('error', reject)
    call.on('response', (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          code: text.startsWith('{') ? (JSON.parse(text) as { code?: string }).code : undefined,
        }),
      )
    })
    if (options.cutOff) call.write(body, () => setTimeout(() => call.destroy(), 50))
    else call.end(body)
  })
}

/** What the center answers to one frame on the link, before or instead of a welcome. */
function onLink(frame: string | Buffer): Promise<Json> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://127.0.0.1:${site.ports.RINGWALL_GATEWAY_PORT}/link`, [], own())
    socket.on('open', () => socket.send(frame))
    socket.on('message', (data) => {
      resolve((JSON.parse(String(data)) as { body: Json }).body)
      socket.close()
    })
    socket.on('close', (code) => resolve({ closed: code }))
    socket.on('error', reject)
  })
}

describe('enrolment', () => {
  const enrol = async (token: string, caHash?: string) =>
    await runProgram('agent', site.enrolArgs(token, caHash), site.homeOf('newcomer'))

  it('refuses a token that nobody made', async () => {
    expect(await enrol('rwe_nonsense')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[token_invalid]'),
    })
  })
  it('refuses a token that was used up, is for another role, or was revoked', async () => {
    const once = await site.token('agent')
    expect(await runProgram('agent', site.enrolArgs(once), site.homeOf('first'))).toMatchObject({ code: 0 })
    expect(await enrol(once)).toMatchObject({ code: 1, stderr: expect.stringContaining('[token_exhausted]') })
    expect(await enrol(await site.token('scanner'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[token_role_mismatch]'),
    })
    const { body } = await site.api('POST', '/enrol-tokens', {
      name: 'revoked',
      role: 'agent',
      maxUses: 5,
      expiresInHours: 1,
    })
    const { enrolToken, token } = body as { enrolToken: { id: string }; token: string }
    expect((await site.api('DELETE', `/enrol-tokens/${enrolToken.id}`)).status).toBe(204)
    expect(await enrol(token)).toMatchObject({ code: 1, stderr: expect.stringContaining('[token_revoked]') })
  })
  it('tells nothing to a server with another CA than the one that was expected', async () => {
    const token = await site.token('agent')
    expect(await enrol(token, `sha256:${'0'.repeat(64)}`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[ca_mismatch]'),
    })
    // It is good still: it never left this machine.
    expect(await enrol(token)).toMatchObject({ code: 0 })
    expect(await enrol(await site.token('agent'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[already_enrolled]'),
    })
  })
})

describe('the API', () => {
  it.each([
    [
      'an unknown field',
      'POST',
      '/enrol-tokens',
      { name: 'x', role: 'agent', maxUses: 1, expiresInHours: 1, surprise: true },
      400,
      'unknown_field',
    ],
    ['a missing field', 'POST', '/enrol-tokens', { role: 'agent' }, 400, 'invalid_request'],
    [
      'a machine that does not exist',
      'POST',
      '/scans',
      { machineIds: ['0198c0de-0000-7000-8000-000000000000'] },
      404,
      'not_found',
    ],
    [
      'a relative path',
      'POST',
      '/scans',
      { machineIds: ['0198c0de-0000-7000-8000-000000000000'], paths: ['etc'] },
      400,
      'invalid_request',
    ],
    ['a cursor that is none', 'GET', '/machines?cursor=nonsense', undefined, 400, 'invalid_cursor'],
    ['a route that is none', 'GET', '/nonsense', undefined, 404, 'not_found'],
  ] as const)('answers %s with a clear problem', async (_, method, path, body, status, code) => {
    expect(await site.api(method, path, body)).toMatchObject({
      status,
      body: { status, code, title: expect.any(String) },
    })
  })
})

describe('the link', () => {
  it.each([
    ['text that is not JSON', 'nonsense', 'message_invalid'],
    ['a binary frame that is not zstd', Buffer.from('nonsense'), 'message_invalid'],
    ['a message before hello', JSON.stringify({ v: 1, type: 'heartbeat', body: {} }), 'message_invalid'],
    [
      'another version of the protocol',
      JSON.stringify({ v: 99, type: 'hello', body: {} }),
      'protocol_version',
    ],
  ])('ends with a reason after %s', async (_, frame, code) => {
    expect(await onLink(frame)).toMatchObject({ code })
  })
  it('is cut off by a message that is too large', async () => {
    expect(await onLink(`"${'x'.repeat(2 * 1024 * 1024)}"`)).toMatchObject({ closed: expect.any(Number) })
  })
  it('needs a certificate of this center', async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${site.ports.RINGWALL_GATEWAY_PORT}/link`, [], {
      ca: identity.caPem,
    })
    const status = await new Promise((resolve) => {
      socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
      socket.on('error', () => undefined)
    })
    expect(status).toBe(401)
  })
  it('leaves the agent that was there online', async () => {
    expect((await site.get<{ machine: Json }>(`/machines/${machineId}`)).machine.linkState).toBe('online')
  })
})

describe('the scanner', () => {
  const path = (bytes: Buffer) => `/v1/content/${createHash('sha256').update(bytes).digest('hex')}`

  it('refuses a content that has another hash, and forgets it', async () => {
    expect(await toScanner('PUT', path(Buffer.from('promised')), Buffer.from('brought!'))).toMatchObject({
      status: 422,
      code: 'hash_mismatch',
    })
    expect(
      await toScanner('GET', path(Buffer.from('promised')).replace('content', 'verdict'), Buffer.alloc(0)),
    ).toMatchObject({ status: 404 })
  })
  it('goes on after an upload that ends early', async () => {
    const content = Buffer.concat([Buffer.alloc(20 * 1024 * 1024, 'a'), eicar])
    await toScanner('PUT', path(content), content.subarray(0, 1024 * 1024), {
      contentLength: content.length,
      cutOff: true,
    }).catch(() => undefined)
    expect(await toScanner('PUT', path(content), content)).toMatchObject({ status: 200 })
  })
  it('refuses what is too large before it reads it', async () => {
    expect(
      await toScanner('PUT', path(Buffer.from('x')), Buffer.from('x'), { contentLength: 2 ** 40 }),
    ).toMatchObject({ status: 413 })
  })
  it('refuses a lookup that is no list of hashes', async () => {
    expect(await toScanner('POST', '/v1/lookup', Buffer.from('short'))).toMatchObject({
      status: 400,
      code: 'invalid_request',
    })
  })
  it('speaks to nobody without a certificate', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: site.scannerPort,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    })
    const ended = await new Promise((resolve) => {
      socket.on('error', (error) => resolve(error.message))
      socket.on('close', () => resolve('closed'))
      socket.on('secureConnect', () => socket.write('GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n'))
      socket.on('data', () => resolve('answered'))
    })
    expect(ended).not.toBe('answered')
  })
})

describe.skipIf(!canMount())('a full disk', () => {
  const small = (name: string, size: string) => {
    const folder = site.homeOf(name)
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0711`, 'tmpfs', folder])
    return {
      fill: () => execFileSync('sh', ['-c', `dd if=/dev/zero of=${folder}/filler bs=4k 2>/dev/null || true`]),
      free: () => execFileSync('rm', ['-f', join(folder, 'filler')]),
      umount: () => execFileSync('umount', ['-l', folder]),
    }
  }

  it('on an agent: the file stays, the finding is told, and nothing is lost', async () => {
    const disk = small('full', '3m')
    try {
      const id = await site.startAgent('full')
      const folder = join(site.root, 'full-victim')
      mkdirSync(folder)
      writeFileSync(join(folder, 'bad'), Buffer.concat([eicar, Buffer.from('\n\n\n')]))
      disk.fill()
      const scanId = await site.startScan(id, [folder])
      await waitFor('the alarm of the machine', async () =>
        (await site.get<{ machine: { problems: string[] } }>(`/machines/${id}`)).machine.problems.includes(
          'disk_full',
        )
          ? true
          : undefined,
      )
      expect(readFileSync(join(folder, 'bad')).length).toBe(71)
      disk.free()
      expect(await site.endOf(scanId)).toMatchObject({ findings: 1 })
      const [finding] = await site.list(`/findings?scanId=${scanId}`)
      expect(finding).toMatchObject({ state: 'failed', errorCode: 'disk_full' })
      await site.running.get('full')?.kill('SIGKILL')
    } finally {
      disk.umount()
    }
  })
})
