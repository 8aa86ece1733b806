import { createHash } from 'node:crypto'
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSite, eicar, type Json, ownContent, type Site, waitFor } from './harness.ts'

type Program = { uploads: number; cache: { received: number; unsent: number; centerHits: number } }

let site: Site
let contentDir: string
let first: string
let second: string

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
const hashOf = async (hash: string) => (await site.get<{ hash: Json }>(`/hashes/${hash}`)).hash
const healthOf = async (index: number): Promise<Program> => {
  const scanner = (await site.list('/scanners'))[index]
  return scanner?.health as Program
}
const folderOf = (name: string) => {
  const folder = join(site.root, name)
  mkdirSync(folder, { recursive: true })
  return folder
}
const scan = async (machineId: string, folder: string) =>
  await site.endOf(await site.startScan(machineId, [folder]))
const holders = async (hash: string) => (await hashOf(hash)).holders as { machines: number; paths: number }
const untilHeld = async (hash: string, machines: number) =>
  await waitFor(`${machines} holders`, async () =>
    (await holders(hash)).machines === machines ? true : undefined,
  )
/** Both machines get a copy, each of its own, for they share this disk; answers the paths once both are known to hold it. */
async function copyOnBoth(name: string, bytes: string): Promise<string[]> {
  const paths: string[] = []
  for (const [index, machineId] of [first, second].entries()) {
    const folder = folderOf(`${name}-${index}`)
    paths.push(join(folder, 'file'))
    writeFileSync(join(folder, 'file'), bytes)
    await scan(machineId, folder)
  }
  await untilHeld(sha256(bytes), 2)
  return paths
}
const untilGone = async (paths: string[]) =>
  await waitFor('quarantine', async () => (paths.some((path) => existsSync(path)) ? undefined : true))

beforeAll(async () => {
  site = await createSite(ownContent)
  contentDir = join(site.root, 'content')
  await site.startScanner()
  first = await site.startAgent('first')
  second = await site.startAgent('second')
})
afterAll(async () => await site?.close())

describe('sharing', () => {
  it('tells who has a content after a scan, and that it is gone after the next', async () => {
    const folder = folderOf('held')
    const bytes = 'a content of its own'
    writeFileSync(join(folder, 'one'), bytes)
    writeFileSync(join(folder, 'two'), bytes)
    chmodSync(join(folder, 'two'), 0o755)
    await scan(first, folder)
    await untilHeld(sha256(bytes), 1)
    expect(await holders(sha256(bytes))).toMatchObject({ machines: 1, paths: 2 })
    await scan(second, folder)
    await untilHeld(sha256(bytes), 2)
    const page = await site.list(`/hashes/${sha256(bytes)}/machines`)
    expect(page.map(({ machineId }) => machineId).sort()).toEqual([first, second].sort())
    expect(page[0]).toMatchObject({ paths: 2, isExecutable: true, isTemplate: false, openFindings: 0 })
    expect(await hashOf(sha256(bytes))).toMatchObject({ verdict: { verdict: 'clean', isStale: false } })
    writeFileSync(join(folder, 'one'), 'something else')
    writeFileSync(join(folder, 'two'), 'something else')
    await scan(first, folder)
    await untilHeld(sha256(bytes), 1)
  })

  it('uploads a content that one scanner judged to no other, also when that one is gone', async () => {
    const folder = folderOf('shared')
    const files = 300
    for (let index = 0; index < files; index += 1) writeFileSync(join(folder, `${index}`), `shared ${index}`)
    expect(await scan(first, folder)).toMatchObject({ progress: { uploaded: files } })
    await site.startScanner({}, 'other-scanner')
    await waitFor('the other scanner to catch up', async () => {
      const health = (await site.list('/scanners')).map((scanner) => scanner.health as Program | null)
      return health.some((one) => (one?.cache.received ?? 0) >= files) ? true : undefined
    })
    await site.running.get('scanner')?.kill('SIGKILL')
    expect(await scan(second, folder)).toMatchObject({
      state: 'completed',
      progress: { filesJudged: files, uploaded: 0, knownToScanner: files },
    })
    const fresh = folderOf('fresh')
    for (let index = 0; index < 50; index += 1) writeFileSync(join(fresh, `${index}`), `fresh ${index}`)
    expect(await scan(second, fresh)).toMatchObject({ progress: { uploaded: 50 } })
    await site.restartScanner()
    await site.running.get('other-scanner')?.kill('SIGKILL')
    // It asks the center for what it has not caught up with.
    expect(await scan(first, fresh)).toMatchObject({ state: 'completed', progress: { uploaded: 0 } })
    expect((await healthOf(0)).uploads + (await healthOf(1)).uploads).toBeGreaterThan(0)
  })

  it('takes a file away within seconds and without a scan when its hash comes onto a list', async () => {
    const bytes = 'harmless until somebody says otherwise'
    const paths = await copyOnBoth('listed', bytes)
    const scans = (await site.list('/scans')).length
    const rejudges = (await site.list('/rejudges')).length
    appendFileSync(join(contentDir, 'hashes/eicar.txt'), `${sha256(bytes)} Listed today\n`)
    const findings = await waitFor('findings', async () => {
      const found = await site.list(`/findings?sha256=${sha256(bytes)}`)
      return found.length === 2 ? found : undefined
    })
    expect(findings.map(({ title, scanId }) => ({ title, scanId }))).toEqual([
      { title: 'Listed today', scanId: null },
      { title: 'Listed today', scanId: null },
    ])
    await untilGone(paths)
    expect(await hashOf(sha256(bytes))).toMatchObject({
      verdict: { verdict: 'malicious', engineFindings: [{ engine: 'hash', title: 'Listed today' }] },
    })
    expect((await site.list('/scans')).length).toBe(scans)
    // Nothing needs the bytes: no machine is asked for any.
    expect((await site.list('/rejudges')).length).toBe(rejudges)
    const [newest] = await site.list('/content-versions')
    expect(newest).toMatchObject({ changed: ['hashes'], isCurrent: true })
  })

  it('judges again after a rule change, each content once, and reaches whoever has what turned bad', async () => {
    const bytes = 'this says WORD-OF-THE-DAY and nothing else'
    const hash = sha256(bytes)
    const paths = await copyOnBoth('rules', bytes)
    writeFileSync(
      join(contentDir, 'signatures/today.yar'),
      'rule word_of_the_day { meta: title = "Word of the day" category = "test" severity = "malicious" strings: $a = "WORD-OF-THE-DAY" condition: $a }',
    )
    const rejudge = await waitFor('judging again', async () => {
      const [newest] = await site.list('/rejudges')
      return newest?.state === 'completed' ? newest : undefined
    })
    expect(rejudge).toMatchObject({ changed: ['rules:today.yar'], underWay: 0 })
    expect(rejudge.turnedBad).toBe(1)
    expect(rejudge.judged).toBeGreaterThan(0)
    const findings = await waitFor('findings', async () => {
      const found = await site.list(`/findings?sha256=${hash}`)
      return found.length === 2 ? found : undefined
    })
    expect(findings.map(({ title }) => title)).toEqual(['Word of the day', 'Word of the day'])
    await untilGone(paths)
  })
})

describe('the false-positive guard', () => {
  it('undoes a verdict everywhere: every copy on every machine comes back, and what cannot says why', async () => {
    const bytes = Buffer.concat([eicar, Buffer.from('\t\t')])
    const hash = sha256(bytes)
    const paths: string[] = []
    for (const [name, machineId] of [
      ['undo-first', first],
      ['undo-second', second],
    ] as const) {
      const folder = folderOf(name)
      for (const file of ['a', 'b']) {
        paths.push(join(folder, file))
        writeFileSync(join(folder, file), bytes)
      }
      await scan(machineId, folder)
    }
    await waitFor('quarantine', async () =>
      (await site.list(`/quarantine?sha256=${hash}&state=stored`)).length === 4 ? true : undefined,
    )
    // One place is taken meanwhile, and one machine is away.
    writeFileSync(paths[1] ?? '', 'in the way')
    await site.running.get('second')?.kill('SIGKILL')
    const { body } = await site.api('POST', `/hashes/${hash}/undo`, { reason: 'ours' })
    const { undo } = body as { undo: Json }
    expect(undo).toMatchObject({ state: 'running', copies: 4, machines: 2 })
    await waitFor('the first machine', async () => {
      const { undo: now } = await site.get<{ undo: Json }>(`/undos/${undo.id}`)
      return now.restored === 1 && now.failed === 1 && now.waiting === 2 ? true : undefined
    })
    await site.start('agent', 'second')
    await waitFor('the second machine', async () => {
      const { undo: now } = await site.get<{ undo: Json }>(`/undos/${undo.id}`)
      return now.state === 'completed' ? true : undefined
    })
    const items = await site.list(`/undos/${undo.id}/items`)
    expect(items.map(({ outcome, errorCode }) => `${outcome} ${errorCode}`).sort()).toEqual([
      'failed restore_target_exists',
      'restored null',
      'restored null',
      'restored null',
    ])
    for (const [index, path] of paths.entries()) if (index !== 1) expect(readFileSync(path)).toEqual(bytes)
    expect(await hashOf(hash)).toMatchObject({
      decision: { decision: 'allow' },
      undo: { restored: 3, failed: 1 },
    })
    // Undone stays undone.
    expect(await scan(second, join(site.root, 'undo-second'))).toMatchObject({ findings: 2 })
    for (const path of paths.slice(2)) expect(existsSync(path)).toBe(true)
    const again = await site.api('POST', `/hashes/${hash}/undo`, { reason: 'again', overwrite: true })
    await waitFor('the rest', async () => {
      const { undo: now } = await site.get<{ undo: Json }>(`/undos/${(again.body as { undo: Json }).undo.id}`)
      return now.state === 'completed' && now.restored === 1 ? true : undefined
    })
    expect(readFileSync(paths[1] ?? '')).toEqual(bytes)
  })

  it('allows by path until the entry expires by itself', async () => {
    const folder = folderOf('allowed')
    const path = join(folder, 'deep/tool')
    mkdirSync(join(folder, 'deep'))
    writeFileSync(path, Buffer.concat([eicar, Buffer.from('\n\n')]))
    const created = await site.api('POST', '/allow-entries', {
      kind: 'path',
      value: `${folder}/**`,
      reason: 'a test bed',
      expiresAt: new Date(Date.now() + 20_000).toISOString(),
    })
    expect(created.status).toBe(200)
    const { allowEntry } = created.body as { allowEntry: Json }
    const entries = async () => (await site.list('/allow-entries')).map(({ id }) => id)
    expect(await entries()).toContain(allowEntry.id)
    await waitFor('the entry to arrive', async () => {
      const { machine } = await site.get<{ machine: Json }>(`/machines/${first}`)
      return machine.desiredVersion === machine.appliedVersion ? true : undefined
    })
    await scan(first, folder)
    expect(await site.list(`/findings?machineId=${first}&state=allowed`)).toEqual(
      expect.arrayContaining([expect.objectContaining({ path })]),
    )
    expect(existsSync(path)).toBe(true)
    await waitFor('the expiry', async () => ((await entries()).includes(allowEntry.id) ? undefined : true))
    await scan(first, folder)
    await waitFor('quarantine', async () => (existsSync(path) ? undefined : true))
    const audit = await site.list('/audit')
    expect(audit.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['allow_entry.created', 'allow_entry.expired']),
    )
  })

  it('refuses an allow-list entry that would switch the protection off', async () => {
    for (const [kind, value] of [
      ['path', '/**'],
      ['path', '/*/?'],
      ['path', 'relative'],
      ['hash', 'abc'],
      ['signer', 'anybody'],
    ])
      expect(await site.api('POST', '/allow-entries', { kind, value, reason: 'x' })).toMatchObject({
        status: 400,
        body: { code: 'allow_value_invalid' },
      })
  })
})

describe('forgetting on order', () => {
  it('makes a content unknown on the center and every scanner, so that it travels again', async () => {
    const folder = folderOf('forgotten')
    const bytes = 'to be forgotten'
    writeFileSync(join(folder, 'file'), bytes)
    await scan(first, folder)
    expect(await scan(first, folder)).toMatchObject({ progress: { uploaded: 0 } })
    await waitFor('the center to know', async () =>
      (await hashOf(sha256(bytes))).verdict === null ? undefined : true,
    )
    const answer = await site.api('POST', '/cache/flush', { scope: { kind: 'hash', sha256: sha256(bytes) } })
    expect(answer).toMatchObject({ status: 200, body: { flush: { forgotten: 1 } } })
    const { number } = (answer.body as { flush: { number: number } }).flush
    await waitFor('the scanner to forget', async () => {
      const { cache } = await site.get<{
        cache: { scanners: { linkState: string; cache: { flushNumber: number } | null }[] }
      }>('/cache')
      const online = cache.scanners.filter(({ linkState }) => linkState === 'online')
      return online.every((scanner) => (scanner.cache?.flushNumber ?? 0) >= number) ? true : undefined
    })
    expect((await hashOf(sha256(bytes))).verdict).toBeNull()
    expect(await scan(first, folder)).toMatchObject({ progress: { uploaded: 1 } })
    expect(
      await site.api('POST', '/cache/flush', { scope: { kind: 'part', part: 'rules:none' } }),
    ).toMatchObject({
      status: 404,
    })
    const { cache } = await site.get<{ cache: Json }>('/cache')
    expect(cache).toMatchObject({ center: { holdingMachines: 2 } })
  })
})
