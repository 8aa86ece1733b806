import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSite, type Json, ownContent, type Site, waitFor } from './harness.ts'

const files = 200
const keep = { RINGWALL_SCANNER_KEEP_BYTES: '64MiB' }
let site: Site
let contentDir: string
let machineId: string

beforeAll(async () => {
  site = await createSite(ownContent)
  contentDir = join(site.root, 'content')
  await site.startScanner(keep)
  machineId = await site.startAgent()
})
afterAll(async () => await site?.close())

it('judges kept contents again after a rule change while every machine is away, also after a kill', async () => {
  const folder = join(site.root, 'tree')
  mkdirSync(folder)
  for (let index = 0; index < files; index += 1)
    writeFileSync(join(folder, `${index}`), `plain file ${index}`)
  const bad = 'this says WORD-OF-TOMORROW and nothing else'
  const path = join(folder, 'bad')
  writeFileSync(path, bad)
  const hash = createHash('sha256').update(bad).digest('hex')
  await site.endOf(await site.startScan(machineId, [folder]))
  await waitFor('the holder', async () => {
    const { hash: known } = await site.get<{ hash: Json }>(`/hashes/${hash}`)
    return (known.holders as Json).machines === 1 ? true : undefined
  })
  await site.running.get('agent')?.kill('SIGKILL')
  await site.running.get('scanner')?.kill('SIGKILL')
  await site.restartScanner(keep)
  const { keptBytes } = await waitFor('its size on the cache page', async () => {
    const { cache } = await site.get<{ cache: { scanners: { cache: { keptBytes: number } | null }[] } }>(
      '/cache',
    )
    const [first] = cache.scanners
    return first?.cache != null && first.cache.keptBytes > files * 36 ? first.cache : undefined
  })
  process.stdout.write(`${keptBytes} bytes are kept\n`)

  writeFileSync(
    join(contentDir, 'signatures/tomorrow.yar'),
    'rule word_of_tomorrow { meta: title = "Word of tomorrow" category = "test" severity = "malicious" strings: $a = "WORD-OF-TOMORROW" condition: $a }',
  )
  const startedAtMs = Date.now()
  await waitFor('the verdict', async () => {
    const { hash: known } = await site.get<{ hash: { verdict: Json | null } }>(`/hashes/${hash}`)
    return known.verdict?.verdict === 'malicious' ? true : undefined
  })
  process.stdout.write(`turned bad ${Date.now() - startedAtMs} ms after the rule was there\n`)
  await waitFor('the rest', async () => {
    const stale = await site.list('/hashes?isStale=true')
    const running = (await site.list('/rejudges')).filter(({ state }) => state === 'running')
    return stale.length + running.length === 0 ? true : undefined
  })
  expect(await site.list('/hashes?isStale=false')).toHaveLength(files + 1)
  expect(existsSync(path)).toBe(true)
  await site.start('agent', 'agent')
  await waitFor('quarantine', async () => (existsSync(path) ? undefined : true))
  const events = await site.list(`/machines/${machineId}/events`)
  expect(events.filter(({ type }) => type === 'content.brought')).toEqual([])
})
