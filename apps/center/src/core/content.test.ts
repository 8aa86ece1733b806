import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodePack } from '@ringwall/engines'
import { generateSigningKey, silentLogger, verify } from '@ringwall/runtime'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createContentSource } from './content.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'content-'))
  mkdirSync(join(dir, 'hashes'))
})
afterEach(() => rmSync(dir, { recursive: true }))

it('follows the folder, says whether something is new, and keeps the last good content', () => {
  const contentKey = generateSigningKey()
  const source = createContentSource(dir, { contentKey }, silentLogger)
  const list = (name: string, text: string) => writeFileSync(join(dir, 'hashes', name), text)
  expect(source.look()).toEqual({ content: undefined, isNew: false })
  list('a.txt', `${'a'.repeat(64)} Bad\n`)
  const first = source.look()
  expect(first.isNew).toBe(true)
  expect(source.look()).toEqual({ content: first.content, isNew: false })
  const { bytes, signature, version } = first.content ?? {
    bytes: Buffer.alloc(0),
    signature: '',
    version: '',
  }
  expect(verify(contentKey.publicPem, bytes, signature)).toBe(true)
  expect(decodePack(bytes)).toMatchObject({ version, hashLists: [{ name: 'a.txt' }] })
  list('b.txt', 'no hash at all\n')
  expect(source.look()).toEqual({ content: first.content, isNew: false })
  list('b.txt', `${'b'.repeat(64)} Worse than bad\n`)
  expect(source.look().isNew).toBe(true)
})
