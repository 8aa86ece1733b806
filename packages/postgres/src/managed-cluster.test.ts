import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { findPostgresBinaries } from './binaries.ts'
import { chooseSocketDir, socketPath } from './cluster-files.ts'
import { assertDurable, createDatabase } from './database.ts'
import { type ManagedCluster, startManagedCluster } from './managed-cluster.ts'
import { resolveOsAccount } from './os-account.ts'
import { processesWorkingIn } from './processes.ts'

const logger = { info() {}, warn() {}, error() {} }
const osUser = 'nobody'
let directory: string
let dataDir: string
let cluster: ManagedCluster | undefined

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ringwall-cluster-'))
  await chmod(directory, 0o711)
  dataDir = join(directory, 'data')
})

afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function start(): Promise<ManagedCluster> {
  cluster = await startManagedCluster({ dataDir, osUser, logger, signal: AbortSignal.timeout(60_000) })
  return cluster
}

async function query<T>(from: ManagedCluster, text: string): Promise<T[]> {
  const db = createDatabase<unknown>({ url: from.url, poolSize: 1 })
  try {
    return (await sql.raw<T>(text).execute(db)).rows
  } finally {
    await db.destroy()
  }
}

describe('startManagedCluster', () => {
  it('makes a cluster that is durable, private and checked', async () => {
    const { socketDir, ...first } = await start()
    expect(first.isAdopted).toBe(false)
    expect(first.isEvaluation).toBe(false)
    const names = ['data_checksums', 'fsync', 'full_page_writes', 'listen_addresses', 'server_encoding']
    const settings = await query<{ name: string; setting: string }>(
      await start(),
      `select name, setting from pg_settings where name in ('${names.join("','")}') order by name`,
    )
    expect(settings.map(({ setting }) => setting)).toEqual(['on', 'on', 'on', '', 'UTF8'])
    expect((await stat(socketDir)).mode & 0o777).toBe(0o700)
    expect((await stat(`${dataDir}.passwords`)).mode & 0o777).toBe(0o600)
    const hba = await readFile(join(dataDir, 'pg_hba.conf'), 'utf8')
    expect(hba).not.toMatch(/\btrust$/m)
  })

  it('starts warm with its data, and takes over what runs', async () => {
    const before = await start()
    await query(before, 'create table kept (n int)')
    await query(before, 'insert into kept values (1)')
    await before.stop()
    const again = await start()
    expect(again.isAdopted).toBe(false)
    expect(await query(again, 'select n from kept')).toEqual([{ n: 1 }])
    const other = await startManagedCluster({ dataDir, osUser, logger, signal: AbortSignal.timeout(60_000) })
    expect(other).toMatchObject({ isAdopted: true, pid: again.pid })
  })

  it('takes over the server of a killed parent', async () => {
    const parent: ChildProcess = fork(join(import.meta.dirname, 'testdata/cluster-parent.ts'), [
      dataDir,
      osUser,
    ])
    const [pid] = (await once(parent, 'message')) as [number]
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    expect(await start()).toMatchObject({ isAdopted: true, pid })
  })

  it('keeps every committed row when the postmaster is killed', async () => {
    const before = await start()
    await query(before, 'create table ledger (n int primary key)')
    const db = createDatabase<unknown>({ url: before.url, poolSize: 1 })
    const committed: number[] = []
    try {
      for (let n = 0; ; n++) {
        if (n === 200) process.kill(before.pid, 'SIGKILL')
        await sql`insert into ledger values (${n})`.execute(db)
        committed.push(n)
      }
    } catch {
      await db.destroy()
    }
    expect(committed.length).toBeGreaterThanOrEqual(200)
    const after = await start()
    expect(after.pid).not.toBe(before.pid)
    const found = new Set((await query<{ n: number }>(after, 'select n from ledger')).map(({ n }) => n))
    expect(committed.filter((n) => !found.has(n))).toEqual([])
  })

  it('is not misled by a postmaster.pid of a dead process or of another program', async () => {
    await (await start()).stop()
    const rest = `${dataDir}\n1790000000\n5432\n${join(directory, 'socket')}\n\n  1 1\nready\n`
    const dead = spawn('true')
    await once(dead, 'exit')
    await writeFile(join(dataDir, 'postmaster.pid'), `${dead.pid}\n${rest}`)
    await (await start()).stop()
    // Running as the server's account is what makes PostgreSQL itself refuse to start.
    const account = await resolveOsAccount(osUser)
    const sleeper = spawn('sleep', ['600'], { ...account.spawn, cwd: '/' })
    try {
      await writeFile(join(dataDir, 'postmaster.pid'), `${sleeper.pid}\n${rest}`)
      expect((await start()).isAdopted).toBe(false)
    } finally {
      sleeper.kill('SIGKILL')
    }
  })

  it('refuses a running server with fsync off, and so does assertDurable', async () => {
    const safe = await start()
    const { connection } = safe
    await safe.stop()
    const account = await resolveOsAccount(osUser)
    const { binDir } = await findPostgresBinaries({})
    const socketDir = join(directory, 'socket')
    const args = [
      '-F',
      '-D',
      dataDir,
      '-c',
      'listen_addresses=',
      '-c',
      `unix_socket_directories=${socketDir}`,
    ]
    const server = spawn(join(binDir, 'postgres'), args, { ...account.spawn, cwd: '/', stdio: 'ignore' })
    const exit = once(server, 'exit')
    try {
      while (processesWorkingIn(dataDir).length === 0) await sleep(10)
      await expect(start()).rejects.toMatchObject({ code: 'database_unsafe', params: { setting: 'fsync' } })
      const db = createDatabase<unknown>({ connection })
      await expect(assertDurable(db)).rejects.toMatchObject({ code: 'database_unsafe' })
      await db.destroy()
    } finally {
      server.kill('SIGQUIT')
      await exit
    }
  })

  it('says what went wrong when the server cannot start', async () => {
    await (await start()).stop()
    cluster = undefined
    const path = join(dataDir, 'postgresql.conf')
    const good = await readFile(path, 'utf8')
    await writeFile(path, `${good}\nno_such_setting = 1\n`)
    await expect(start()).rejects.toMatchObject({
      code: 'database_unavailable',
      params: { reason: expect.stringContaining('no_such_setting') },
    })
    await writeFile(path, good)
  })

  it('reports when the server ended', async () => {
    const running = await start()
    const ended = running.waitForExit(AbortSignal.timeout(30_000))
    process.kill(running.pid, 'SIGQUIT')
    await ended
  })
})

describe('chooseSocketDir', () => {
  it('falls back to a short path that fits sun_path', () => {
    expect(chooseSocketDir('/srv/rw', '/srv/rw/data', true)).toBe('/srv/rw/socket')
    const long = `/srv/${'x'.repeat(120)}`
    for (const isRoot of [true, false]) {
      const chosen = chooseSocketDir(long, `${long}/data`, isRoot)
      expect(Buffer.byteLength(socketPath(chosen, 5432))).toBeLessThanOrEqual(107)
      expect(chosen).not.toBe(chooseSocketDir(long, `${long}/other`, isRoot))
    }
  })
})
