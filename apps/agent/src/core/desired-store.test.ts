import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError, malwarePolicySchema } from '@ringwall/contracts'
import { generateSigningKey, type IdentityStore, sign, silentLogger } from '@ringwall/runtime'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDesiredStore } from './desired-store.ts'
import { createKeptFiles } from './kept-files.ts'

const machineId = '0198c0de-0000-7000-8000-000000000001'
const key = generateSigningKey()
let id = machineId
const identity = {
  current: () => ({ id, policyKeyPem: key.publicPem }),
  update: () => undefined,
} as unknown as IdentityStore

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'desired-'))
  id = machineId
})
afterEach(() => rmSync(dir, { recursive: true }))

const open = () => openDesiredStore(dir, identity, createKeptFiles(silentLogger))
function signed(version: number, change: Record<string, unknown> = {}, signer = key) {
  const payload = JSON.stringify({
    version,
    machineId,
    policyRevision: 0,
    malware: malwarePolicySchema.parse({}),
    scanners: [],
    tasks: [],
    decisions: [],
    ...change,
  })
  return { payload, signature: sign(signer.privatePem, Buffer.from(payload)) }
}
function codeOf(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
}

it('keeps the last good state over a restart', () => {
  open().accept(signed(3))
  expect(open().current()).toMatchObject({ version: 3, machineId })
})

it('refuses what is older, for another machine, signed by another, or no state; and keeps what it has', () => {
  const store = open()
  store.accept(signed(3))
  expect(codeOf(() => store.accept(signed(2)))).toBe('version_rollback')
  expect(codeOf(() => store.accept(signed(4, { machineId: '0198c0de-0000-7000-8000-000000000002' })))).toBe(
    'message_invalid',
  )
  expect(codeOf(() => store.accept(signed(4, {}, generateSigningKey())))).toBe('signature_invalid')
  expect(codeOf(() => store.accept(signed(4, { tasks: 'none' })))).toBe('message_invalid')
  expect(store.current()?.version).toBe(3)
})

it('begins anew with the versions of a new identity', () => {
  const store = open()
  store.accept(signed(9))
  id = '0198c0de-0000-7000-8000-000000000003'
  expect(store.accept(signed(1, { machineId: id })).version).toBe(1)
})

it('does not believe a file that somebody altered', () => {
  open().accept(signed(3))
  const path = join(dir, 'desired.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace('quarantine', 'report____'))
  expect(codeOf(open)).toBe('signature_invalid')
})
