import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSite, eicar, type Json, runProgram, type Site, waitFor } from './harness.ts'

let site: Site
let machineId: string

beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
  machineId = await site.startAgent()
})
afterAll(async () => await site?.close())

const stateOf = async (id: unknown) => (await site.list('/quarantine')).find((item) => item.id === id)?.state

describe('a machine with bad files among odd ones', () => {
  it('is scanned: exactly the bad ones are found and taken away, and come back as they were', async () => {
    const folder = join(site.root, 'victim')
    mkdirSync(folder)
    const odd = Buffer.concat([
      Buffer.from(`${folder}/odd\n`),
      Buffer.from([0xff, 0xfe]),
      Buffer.from(' name'),
    ])
    const plain = join(folder, 'eicar.com')
    for (const path of [odd, plain]) writeFileSync(path, eicar)
    chownSync(plain, 1234, 2345)
    chmodSync(plain, 0o4751)
    execFileSync('setfattr', ['-n', 'user.note', '-v', 'keep me', plain])
    utimesSync(plain, 1_234_567_890.5, 1_434_567_890.25)
    const before = statSync(plain, { bigint: true })
    execFileSync('mkfifo', [join(folder, 'fifo')])
    const socket = createServer().listen(join(folder, 'socket'))
    symlinkSync(folder, join(folder, 'loop'))
    writeFileSync(join(folder, 'sparse'), '')
    truncateSync(join(folder, 'sparse'), 5 * 1024 ** 3)
    for (let index = 0; index < 2000; index += 1)
      writeFileSync(join(folder, `file-${index}`), `ordinary ${index % 1500}\n`)

    const scan = await site.endOf(await site.startScan(machineId, [folder]))
    socket.close()
    expect(scan).toMatchObject({ state: 'completed', findings: 2 })
    expect(scan.progress).toMatchObject({
      filesSeen: 2003,
      filesJudged: 2002,
      skipped: { special_file: 2, symlink: 1, too_large: 1 },
    })

    const findings = await site.list(`/findings?scanId=${String(scan.id)}`)
    expect(findings.map(({ state, title }) => ({ state, title }))).toEqual(
      Array(2).fill({ state: 'quarantined', title: 'EICAR test file' }),
    )
    expect(existsSync(plain) || existsSync(odd)).toBe(false)
    const { finding } = await site.get<{ finding: Json }>(`/findings/${String(findings[0]?.id)}`)
    expect(finding).toMatchObject({
      engineFindings: expect.arrayContaining([
        expect.objectContaining({ engine: 'hash', title: 'EICAR test file' }),
      ]),
      sameHash: { findings: 1 },
    })

    const items = await waitFor('the vault', async () => {
      const stored = await site.list('/quarantine')
      return stored.length === 2 ? stored : undefined
    })
    expect(items.map(({ path }) => path)).toContain(`${folder}/odd\\x0a\\xff\\xfe name`)
    for (const { id } of items) {
      expect((await site.api('POST', `/quarantine/${String(id)}/restore`, {})).status).toBe(200)
      await waitFor('the restore', async () => ((await stateOf(id)) === 'restored' ? true : undefined))
    }
    const after = statSync(plain, { bigint: true })
    for (const key of ['mode', 'uid', 'gid', 'size', 'mtimeNs'] as const) expect(after[key]).toBe(before[key])
    expect(readFileSync(plain).equals(eicar) && readFileSync(odd).equals(eicar)).toBe(true)
    expect(execFileSync('getfattr', ['--only-values', '-n', 'user.note', plain]).toString()).toBe('keep me')
  })

  it('leaves a restored file alone from then on', async () => {
    const scan = await site.endOf(await site.startScan(machineId, [join(site.root, 'victim')]))
    expect(scan).toMatchObject({ state: 'completed', findings: 2 })
    const findings = await site.list(`/findings?scanId=${String(scan.id)}`)
    expect(findings.map(({ state }) => state)).toEqual(['allowed', 'allowed'])
  })

  it('only reports where the policy says so, until a person decides', async () => {
    const { status } = await site.api('PUT', `/policies/malware`, {
      action: 'report',
      whenOffline: 'quarantine',
      prevalenceLimit: 20,
      cpuLimitPercent: 50,
      maxFileBytes: 1024,
      excludePaths: [],
    })
    expect(status).toBe(200)
    const folder = join(site.root, 'reported')
    mkdirSync(folder)
    writeFileSync(join(folder, 'bad'), Buffer.concat([eicar, Buffer.from('\n')]))
    writeFileSync(join(folder, 'large'), Buffer.alloc(2048))
    const scan = await site.endOf(await site.startScan(machineId, [folder]))
    expect(scan.progress).toMatchObject({ skipped: { too_large: 1 } })
    const [finding] = await site.list(`/findings?scanId=${String(scan.id)}`)
    expect(finding).toMatchObject({ state: 'reported' })
    // No list has this content: the rules found it, and say where.
    const { finding: detail } = await site.get<{ finding: Json }>(`/findings/${String(finding?.id)}`)
    expect(detail).toMatchObject({
      engineFindings: [
        expect.objectContaining({
          engine: 'signature',
          rule: 'eicar_test_file',
          matches: [expect.objectContaining({ offset: 0 })],
        }),
      ],
    })
    // A person decides: the file that was left is taken away now.
    expect(
      (
        await site.api('PUT', `/hashes/${String(finding?.sha256)}/decision`, {
          decision: 'quarantine',
          reason: 'test',
        })
      ).status,
    ).toBe(200)
    await waitFor('the quarantine', async () => (existsSync(join(folder, 'bad')) ? undefined : true))
  })

  it('ends a scan when it is cancelled', async () => {
    const folder = join(site.root, 'many')
    mkdirSync(folder)
    for (let index = 0; index < 20_000; index += 1)
      writeFileSync(join(folder, `${index}`), `${index} ${Math.random()}`)
    const id = await site.startScan(machineId, [folder])
    await waitFor('the scan to run', async () =>
      (await site.get<{ scan: Json }>(`/scans/${id}`)).scan.state === 'running' ? true : undefined,
    )
    expect((await site.api('POST', `/scans/${id}/cancel`)).status).toBe(200)
    expect(await site.endOf(id)).toMatchObject({ state: 'cancelled' })
  })

  it('is known to the command line of the center', async () => {
    const machines = await runProgram('cli', ['machines', '--json'], site.home)
    expect(machines).toMatchObject({ code: 0 })
    expect(machines.stdout).toContain(machineId)
    expect(await runProgram('cli', ['audit', 'verify'], site.home)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('intact'),
    })
    expect(
      await runProgram(
        'cli',
        ['scan', join(site.root, 'reported'), '--wait', '--machine', machineId],
        site.home,
      ),
    ).toMatchObject({ code: 0 })
    expect(await runProgram('cli', ['nonsense'], site.home)).toMatchObject({ code: 2 })
  })
})
