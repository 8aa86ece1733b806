import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSite, eicar, type Json, type Site, waitFor } from './harness.ts'

let site: Site
let machineId: string

beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
  machineId = await site.startAgent()
})
afterAll(async () => await site?.close())

const pause = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs))

describe('when programs die', () => {
  it('loses no event and has none twice after the center was killed during their delivery', async () => {
    const folder = join(site.root, 'infected')
    mkdirSync(folder)
    const files = 200
    for (let index = 0; index < files; index += 1)
      writeFileSync(join(folder, `bad-${index}`), Buffer.concat([eicar, Buffer.from(' '.repeat(index % 50))]))
    const id = await site.startScan(machineId, [folder])
    for (let kill = 0; kill < 2; kill += 1) {
      await waitFor('findings', async () =>
        (await site.list(`/findings?scanId=${id}`)).length > kill * 40 ? true : undefined,
      )
      await site.killCenter('SIGKILL')
      await pause(700)
      await site.restartCenter()
    }
    const scan = await site.endOf(id)
    expect(scan).toMatchObject({ state: 'completed', findings: files })
    await waitFor('the vault', async () =>
      (await site.list('/quarantine')).length === files ? true : undefined,
    )
    const events = await site.list(`/machines/${machineId}/events`)
    const found = events
      .filter(({ type }) => type === 'finding.detected')
      .map(({ body }) => (body as { finding: { findingId: string } }).finding.findingId)
    expect(found).toHaveLength(files)
    expect(new Set(found).size).toBe(files)
    expect(events.filter(({ type }) => type === 'scan.ended')).toHaveLength(1)
    expect(await site.api('POST', '/audit/verify')).toMatchObject({ status: 200, body: { isIntact: true } })
  })

  it('ends a scan right when the scanner was killed in the middle of it', async () => {
    const folder = join(site.root, 'large')
    mkdirSync(folder)
    const files = 12_000
    for (let index = 0; index < files; index += 1)
      writeFileSync(join(folder, `${index}`), `content ${index} ${'x'.repeat(index % 3000)}`)
    const id = await site.startScan(machineId, [folder])
    await waitFor('progress', async () =>
      ((await site.get<{ scan: { progress: { filesSeen: number } } }>(`/scans/${id}`)).scan.progress
        .filesSeen ?? 0) > 0
        ? true
        : undefined,
    )
    await site.running.get('scanner')?.kill('SIGKILL')
    await pause(1500)
    await site.restartScanner()
    const scan = await site.endOf(id)
    expect(scan).toMatchObject({
      state: 'completed',
      progress: { filesSeen: files, filesJudged: files, skipped: {} },
    })
  })

  it('goes on with a scan where it was when the agent was killed', async () => {
    const folder = join(site.root, 'resumed')
    mkdirSync(folder)
    for (let index = 0; index < 200; index += 1) {
      mkdirSync(join(folder, `${index}`))
      for (let file = 0; file < 60; file += 1)
        writeFileSync(join(folder, `${index}`, `${file}`), `resumed ${index} ${file}`)
    }
    writeFileSync(join(folder, '0', 'bad'), Buffer.concat([eicar, Buffer.from('\t')]))
    const id = await site.startScan(machineId, [folder])
    await waitFor('the scan to run', async () =>
      (await site.get<{ scan: Json }>(`/scans/${id}`)).scan.state === 'running' ? true : undefined,
    )
    await site.running.get('agent')?.kill('SIGKILL')
    await site.start('agent', 'agent')
    expect(await site.endOf(id)).toMatchObject({ state: 'completed', findings: 1 })
    const events = (await site.list(`/machines/${machineId}/events`)).filter(
      ({ type, body }) => type === 'scan.ended' && (body as { scanId: string }).scanId === id,
    )
    expect(events).toHaveLength(1)
  })
})

describe('a copy of a machine', () => {
  it('gets an identity of its own by itself, with lineage and one notice, and both stay protected', async () => {
    await site.running.get('agent')?.kill('SIGKILL')
    site.copyHome('agent', 'copy')
    await site.start('agent', 'agent')
    await waitFor('the original', async () =>
      (await site.get<{ machine: Json }>(`/machines/${machineId}`)).machine.linkState === 'online'
        ? true
        : undefined,
    )
    await site.start('agent', 'copy')
    const copy = await waitFor('the copy', async () =>
      (await site.list('/machines')).find(
        ({ lineage, linkState }) => lineage !== null && linkState === 'online',
      ),
    )
    expect(copy).toMatchObject({ lineage: { parentId: machineId, kind: 'clone' } })
    const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
    expect(machine).toMatchObject({ linkState: 'online', clones: [{ id: copy.id }], cloneCount: 1 })
    expect((await site.list('/alarms?kind=machine.cloned')).map(({ count }) => count)).toEqual([1])
    for (const [id, name] of [
      [machineId, 'original'],
      [String(copy.id), 'copied'],
    ] as const) {
      const folder = join(site.root, name)
      mkdirSync(folder)
      writeFileSync(
        join(folder, 'bad'),
        Buffer.concat([eicar, Buffer.from(`\n${name === 'copied' ? '\n' : ''}`)]),
      )
      expect(await site.endOf(await site.startScan(id, [folder]))).toMatchObject({
        state: 'completed',
        findings: 1,
      })
    }
  })

  it('is seen to be away within 30 seconds', async () => {
    const copy = (await site.list('/machines')).find(({ lineage }) => lineage !== null)
    const startedAtMs = Date.now()
    await site.running.get('copy')?.kill('SIGKILL')
    await waitFor(
      'offline',
      async () =>
        (await site.get<{ machine: Json }>(`/machines/${String(copy?.id)}`)).machine.linkState === 'offline'
          ? true
          : undefined,
      30_000,
    )
    expect(Date.now() - startedAtMs).toBeLessThan(30_000)
  })
})
