import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestDatabase, type TestDatabase } from '@ringwall/postgres'
import { createCsr, generateKeyPem, silentLogger } from '@ringwall/runtime'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCenterConfig } from '../config.ts'
import { openPki } from '../core/pki.ts'
import { ensureFirstAdministrator } from '../slices/access/access.ts'
import { buildCenter, type Center } from './build-center.ts'
import { migrateCenter } from './migrate-center.ts'

type Answer = { status: number; headers: IncomingHttpHeaders; body: Record<string, unknown> }

const password = 'A-Good-Password-1'
let dir: string
let database: TestDatabase<unknown>
let center: Center
let port: number
let gatewayPort: number
let firstPassword: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'center-'))
  database = await createTestDatabase('center', migrateCenter)
  const config = readCenterConfig({
    RINGWALL_HOME: dir,
    RINGWALL_PORT: '0',
    RINGWALL_GATEWAY_PORT: '0',
    RINGWALL_BIND: '127.0.0.1',
    RINGWALL_HOST_NAMES: 'localhost',
  })
  const pki = await openPki({ dir: join(dir, 'pki'), hostNames: ['localhost', '127.0.0.1'] })
  const databaseFacts = { version: '15', isManaged: false, isEvaluation: false }
  center = await buildCenter({
    config: { ...config, dir },
    db: database.db,
    databaseFacts,
    pki,
    version: '0.0.0',
    logger: silentLogger,
  })
  firstPassword = (await ensureFirstAdministrator(database.db)) ?? ''
  ;({ port, gatewayPort } = await center.listen())
})
afterAll(async () => {
  await center?.close()
  await database?.drop()
  rmSync(dir, { recursive: true, force: true })
})

function send(
  method: string,
  path: string,
  options: { body?: unknown; headers?: Record<string, string>; to?: number } = {},
): Promise<Answer> {
  const text = options.body === undefined ? undefined : JSON.stringify(options.body)
  return new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port: options.to ?? port,
      method,
      path: options.to === undefined ? `/api/v1${path}` : path,
      ca: center.core.pki.caPem,
      headers: { ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers },
    })
    call.on('error', reject)
    call.on('response', (response) => {
      let answer = ''
      response.on('data', (chunk) => {
        answer += String(chunk)
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: answer === '' ? {} : JSON.parse(answer),
        }),
      )
    })
    call.end(text)
  })
}

async function signIn(name: string, secret: string) {
  const answer = await send('POST', '/session', { body: { name, password: secret } })
  const cookie = (answer.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? ''
  return { answer, session: { cookie, 'ringwall-csrf': String(answer.body.csrfToken) } }
}

describe('signing in', () => {
  it('gives a session that can do nothing but choose a password at first', async () => {
    const { answer, session } = await signIn('admin', firstPassword)
    expect(answer).toMatchObject({
      status: 200,
      body: { user: { mustChangePassword: true }, permissions: [] },
    })
    expect(answer.headers['set-cookie']?.[0]).toMatch(/HttpOnly; Secure; SameSite=Strict/)
    expect(await send('GET', '/machines', { headers: session })).toMatchObject({
      status: 403,
      body: { code: 'password_change_required' },
    })
    expect(
      await send('POST', '/session/password', {
        headers: session,
        body: { currentPassword: firstPassword, newPassword: 'short' },
      }),
    ).toMatchObject({ status: 400 })
    const change = { currentPassword: firstPassword, newPassword: password }
    const changed = await send('POST', '/session/password', { headers: session, body: change })
    expect(changed).toMatchObject({ status: 200, body: { user: { mustChangePassword: false } } })
    expect(await send('GET', '/machines', { headers: session })).toMatchObject({
      status: 200,
      body: { total: 0 },
    })
  })

  it('does not tell an unknown name from a wrong password, and slows down who guesses', async () => {
    for (const name of ['nobody', 'nobody', 'nobody', 'nobody', 'nobody'])
      expect((await signIn(name, 'wrong')).answer).toMatchObject({
        status: 401,
        body: { code: 'wrong_credentials' },
      })
    const { answer } = await signIn('nobody', 'wrong')
    expect(answer).toMatchObject({ status: 429, body: { code: 'login_throttled' } })
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  })
})

describe('a session', () => {
  let session: Record<string, string>
  beforeAll(async () => {
    // The address of the guesser above waits; the throttle of this process forgets it with time.
    const token = await sql<{ token_hash: string }>`select token_hash from user_session limit 1`.execute(
      database.db,
    )
    expect(token.rows).toHaveLength(1)
    for (let tries = 0; tries < 40; tries += 1) {
      const signed = await signIn('admin', password)
      session = signed.session
      if (signed.answer.status === 200) break
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  })

  it('writes nothing without its token or from another origin', async () => {
    const body = { name: 'x', role: 'agent', maxUses: 1, expiresInHours: 1 }
    expect(
      await send('POST', '/enrol-tokens', { headers: { cookie: session.cookie ?? '' }, body }),
    ).toMatchObject({ status: 403, body: { code: 'csrf_failed' } })
    expect(
      await send('POST', '/enrol-tokens', { headers: { ...session, origin: 'https://evil.example' }, body }),
    ).toMatchObject({ status: 403, body: { code: 'csrf_failed' } })
    expect(await send('POST', '/enrol-tokens', { headers: session, body })).toMatchObject({ status: 200 })
  })

  it('may give tokens of lesser roles, which may do less', async () => {
    const { body } = await send('POST', '/api-tokens', {
      headers: session,
      body: { name: 'reader', role: 'viewer', expiresInDays: 1 },
    })
    const bearer = { authorization: `Bearer ${String(body.token)}` }
    expect(await send('GET', '/machines', { headers: bearer })).toMatchObject({ status: 200 })
    expect(
      await send('POST', '/enrol-tokens', { headers: bearer, body: { name: 'x', role: 'agent' } }),
    ).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    const { id } = body.apiToken as { id: string }
    expect(await send('DELETE', `/api-tokens/${id}`, { headers: session })).toMatchObject({ status: 204 })
    expect(await send('GET', '/machines', { headers: bearer })).toMatchObject({ status: 401 })
  })

  it('keeps the last administrator', async () => {
    const { body } = await send('GET', '/users', { headers: session })
    const [admin] = body.items as { id: string }[]
    expect(
      await send('PATCH', `/users/${admin?.id}`, { headers: session, body: { isActive: false } }),
    ).toMatchObject({ status: 409, body: { code: 'last_administrator' } })
  })

  it('has written every one of these to the audit log, whose chain shows an alteration', async () => {
    const { body } = await send('GET', '/audit?limit=100', { headers: session })
    const outcomes = (body.items as { action: string; outcome: string }[]).map(
      ({ action, outcome }) => `${action} ${outcome}`,
    )
    expect(outcomes).toEqual(
      expect.arrayContaining(['api_token.created ok', 'enrol_token.created refused', 'user.updated refused']),
    )
    const verified = async () => await send('POST', '/audit/verify', { headers: session })
    expect(await verified()).toMatchObject({ status: 200, body: { isIntact: true } })
    await sql`update audit_entry set actor = 'somebody else' where seq = 2`.execute(database.db)
    expect(await verified()).toMatchObject({ status: 200, body: { isIntact: false, brokenAtSeq: 2 } })
  })

  it('hears what changes, also what it missed', async () => {
    const listen = async (lastId?: string): Promise<{ id: string; text: string }> =>
      await new Promise((resolve, reject) => {
        const call = request({
          host: '127.0.0.1',
          port,
          path: '/api/v1/live',
          ca: center.core.pki.caPem,
          headers: {
            cookie: session.cookie ?? '',
            ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
          },
        })
        call.on('error', reject)
        call.on('response', (response) => {
          let text = ''
          if (lastId === undefined) center.core.live.publish({ type: 'changed', object: 'policy', id: null })
          response.on('data', (chunk) => {
            text += String(chunk)
            const id = /^id: (\d+)$/m.exec(text)?.[1]
            if (id === undefined) return
            call.destroy()
            resolve({ id, text })
          })
          response.on('error', () => undefined)
        })
        call.end()
      })
    const first = await listen()
    expect(first.text).toContain('"object":"policy"')
    center.core.live.publish({ type: 'changed', object: 'alarm', id: null })
    expect((await listen(first.id)).text).toContain('"object":"alarm"')
  })
})

describe('enrolment', () => {
  it('refuses a token whose time is over, and a request that is none', async () => {
    const token = 'rwe_over_and_gone'
    const { hashToken } = await import('@ringwall/runtime')
    await sql`insert into enrol_token (id, name, role, token_hash, max_uses, created_by, expires_at)
      values (gen_random_uuid(), 'over', 'scanner', ${hashToken(token)}, 1, 'test', now() - interval '1 minute')`.execute(
      database.db,
    )
    const csrPem = await createCsr(generateKeyPem(), 'scanner')
    const body = { role: 'scanner', token, csrPem, softwareVersion: '1', addresses: [] }
    expect(await send('POST', '/enroll', { to: gatewayPort, body })).toMatchObject({
      status: 401,
      body: { code: 'token_expired' },
    })
    await sql`update enrol_token set expires_at = now() + interval '1 hour'`.execute(database.db)
    expect(
      await send('POST', '/enroll', { to: gatewayPort, body: { ...body, csrPem: 'nonsense' } }),
    ).toMatchObject({ status: 400, body: { code: 'csr_invalid' } })
    // A request that failed used up nothing.
    expect(await send('POST', '/enroll', { to: gatewayPort, body })).toMatchObject({ status: 200 })
  })
})
