import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createCredentialSealer } from './credentials.ts'

const credentials = { kind: 'password' as const, username: 'u', password: 'geheim' }
const platform = { id: '01a2140a-e0e6-7214-b0d6-ec4168576483', name: 'engine' }
let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sealer-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

it('opens what it sealed, also after a restart, and seals differently each time', () => {
  const sealed = createCredentialSealer(dir).seal(platform.id, credentials)
  expect(createCredentialSealer(dir).open(platform, sealed)).toEqual(credentials)
  expect(createCredentialSealer(dir).seal(platform.id, credentials).equals(sealed)).toBe(false)
  expect(sealed.includes('geheim')).toBe(false)
})

it('opens nothing that was altered, moved to another platform or sealed with another key', () => {
  const sealer = createCredentialSealer(dir)
  const sealed = sealer.seal(platform.id, credentials)
  const lost = expect.objectContaining({ code: 'platform_credentials_lost' })
  for (let at = 0; at < sealed.length; at += 1) {
    const altered = Buffer.from(sealed)
    altered[at] = (altered[at] ?? 0) ^ 1
    expect(() => sealer.open(platform, altered)).toThrow(lost)
  }
  expect(() => sealer.open({ ...platform, id: platform.id.replace('01', '02') }, sealed)).toThrow(lost)
  expect(() => sealer.open(platform, sealed.subarray(0, 5))).toThrow(lost)
  writeFileSync(join(dir, 'platform-credentials.key'), Buffer.alloc(32, 1).toString('base64'))
  expect(() => createCredentialSealer(dir).open(platform, sealed)).toThrow(lost)
  writeFileSync(join(dir, 'platform-credentials.key'), 'short')
  expect(() => createCredentialSealer(dir).open(platform, sealed)).toThrow(lost)
})
