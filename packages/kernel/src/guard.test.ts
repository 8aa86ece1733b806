import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { compileHelper } from './compile.ts'
import {
  type Ask,
  type AskAnswer,
  type Guard,
  type GuardPolicy,
  type GuardStats,
  openGuard,
} from './guard.ts'
import { mountPrivate } from './testing/private-mount.ts'

const runs = promisify(execFile)
const policy: GuardPolicy = {
  whenLate: 'allow',
  unknownLarge: 'allow-and-judge',
  maxJudgeBytes: 1024 * 1024,
  budgetMs: 30_000,
}

/** Runs a program from a process that is not below this one, which would never be held. */
async function exec(path: string): Promise<string> {
  const script = `setsid sh -c 'sleep 0.05; "$0" >/dev/null 2>&1; echo $? > "$1.code.tmp"; mv "$1.code.tmp" "$1.code"' "$0" "$1" &`
  const tag = `${path}.${Math.random().toString(36).slice(2)}`
  await runs('sh', ['-c', script, path, tag])
  for (;;) {
    try {
      return readFileSync(`${tag}.code`, 'utf8').trim()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

const probe = mountPrivate('ext4')
probe?.unmount()
if (probe === undefined) process.stderr.write('guard.test: skipped, this account may not mount\n')

describe.skipIf(probe === undefined)('the guard', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ringwall-guard-build-'))
  const helperPath = join(dir, 'ringwall-guard')
  const writeMapped = join(dir, 'write-mapped')
  const load = join(dir, 'load')
  const image = join(dir, 'image')
  let mount: { path: string; unmount: () => void }
  let guard: Guard | undefined
  let asks: Ask[] = []
  let answer: (ask: Ask) => Promise<AskAnswer> = async () => ({ allows: true, remember: 'clean' })
  let stats: GuardStats | undefined
  let ends: string[] = []

  beforeAll(() => {
    compileHelper(helperPath, { isSanitized: true })
    const testdata = join(import.meta.dirname, 'testdata')
    execFileSync('gcc', ['-o', load, join(testdata, 'load.c')])
    const small = ['-Os', '-static', '-nostdlib', '-fno-stack-protector']
    execFileSync('gcc', [...small, '-o', image, join(testdata, 'image.c')])
    execFileSync('gcc', ['-o', writeMapped, join(testdata, 'write-mapped.c')])
  })
  afterAll(() => rmSync(dir, { recursive: true }))
  beforeEach(() => {
    mount = mountPrivate('ext4') ?? { path: '', unmount: () => undefined }
    asks = []
    ends = []
    stats = undefined
    answer = async () => ({ allows: true, remember: 'clean' })
  })
  afterEach(async () => {
    await guard?.close()
    guard = undefined
    mount.unmount()
  })

  async function start(
    mode: 'exec' | 'exec-and-open' = 'exec',
    over: Partial<GuardPolicy> = {},
  ): Promise<Guard> {
    const opened = await openGuard({
      helperPath,
      mode,
      onAsk: async (ask) => {
        asks.push(ask)
        return await answer(ask)
      },
      onStats: (next) => {
        stats = next
      },
      onEnd: ({ reason }) => ends.push(reason),
    })
    guard = opened
    opened.setPolicy({ ...policy, ...over })
    expect(await opened.mark(Buffer.from(mount.path))).toBeUndefined()
    return opened
  }
  const place = (name: string, from = '/bin/true') => {
    const path = join(mount.path, name)
    copyFileSync(from, path)
    return path
  }
  const never = () => new Promise<AskAnswer>(() => undefined)

  it('asks once about a file, then answers from its table', async () => {
    await start()
    const path = place('program')
    let seen: Buffer | undefined
    answer = async (ask) => {
      seen = readFileSync(ask.contentPath)
      return { allows: true, remember: 'clean' }
    }
    expect(await exec(path)).toBe('0')
    expect(seen?.equals(readFileSync('/bin/true'))).toBe(true)
    expect(await exec(path)).toBe('0')
    expect(asks.map(({ path: asked, kind }) => ({ asked: asked.toString(), kind }))).toEqual([
      { asked: path, kind: 'exec' },
    ])
    const { ino, size } = statSync(path, { bigint: true })
    expect(asks[0]?.key).toMatchObject({ inode: ino, sizeBytes: size })
  })

  it('denies with EPERM, and asks again about a changed file', async () => {
    await start()
    const path = place('script', '/bin/true')
    answer = async () => ({ allows: false, remember: 'bad' })
    expect(await exec(path)).toBe('126')
    expect(await exec(path)).toBe('126')
    expect(asks.map(({ isKnownBad }) => isKnownBad)).toEqual([false, true])
    appendFileSync(path, 'x')
    answer = async () => ({ allows: true, remember: 'clean' })
    expect(await exec(path)).toBe('0')
    expect(asks.at(-1)?.isKnownBad).toBe(false)
  })

  it('goes by the policy when nobody answers', async () => {
    const opened = await start('exec', { budgetMs: 200 })
    answer = never
    expect(await exec(place('first'))).toBe('0')
    opened.setPolicy({ ...policy, budgetMs: 200, whenLate: 'deny' })
    expect(await exec(place('second'))).toBe('126')
  })

  it('holds nobody for an agent whose answers come too late, until one comes in time', async () => {
    const opened = await start('exec', { budgetMs: 200 })
    const clean = { allows: true, remember: 'clean' } as const
    answer = async () => await new Promise((resolve) => setTimeout(resolve, 500, clean))
    for (const name of ['first', 'second', 'third']) expect(await exec(place(name))).toBe('0')
    // What else it says is no answer.
    opened.setPolicy({ ...policy, budgetMs: 200 })
    expect(await exec(place('fourth'))).toBe('0')
    expect(asks.map(({ isAnswered }) => isAnswered)).toEqual([false, false, false, true])
    answer = async () => clean
    let count = 0
    await vi.waitFor(
      async () => {
        count += 1
        expect(await exec(place(`quick-${count}`))).toBe('0')
        expect(asks.at(-1)?.isAnswered).toBe(false)
      },
      { timeout: 60_000 },
    )
  }, 120_000)

  it('answers for what it was told before anybody asked, but not for what was judged bad since', async () => {
    const opened = await start()
    const keyOf = (path: string) => {
      const { dev, ino, ctimeNs, mtimeNs, size } = statSync(path, { bigint: true })
      return { device: dev, inode: ino, ctimeNs, mtimeNs, sizeBytes: size }
    }
    const paths = Array.from({ length: 300 }, (_, index) => place(`known-${index}`))
    answer = async () => ({ allows: false, remember: 'bad' })
    const bad = place('bad')
    expect(await exec(bad)).toBe('126')
    opened.remember([...paths, bad].map((path) => ({ key: keyOf(path), verdict: 'clean' as const })))
    for (const path of [paths[0], paths[299]]) expect(await exec(path ?? '')).toBe('0')
    expect(asks.length).toBe(1)
    expect(await exec(bad)).toBe('126')
    opened.forget()
    expect(await exec(paths[0] ?? '')).toBe('126')
  })

  it('denies what is known to be bad even when nobody answers', async () => {
    const opened = await start('exec', { budgetMs: 200 })
    const path = place('bad')
    const { dev, ino, ctimeNs, mtimeNs, size } = statSync(path, { bigint: true })
    opened.remember([{ key: { device: dev, inode: ino, ctimeNs, mtimeNs, sizeBytes: size }, verdict: 'bad' }])
    answer = never
    expect(await exec(path)).toBe('126')
  })

  it('lets a large file run while it is judged, or holds it', async () => {
    const opened = await start('exec', { maxJudgeBytes: 1000 })
    const path = place('large')
    let release: (answer: AskAnswer) => void = () => undefined
    answer = () =>
      new Promise((resolve) => {
        release = resolve
      })
    expect(await exec(path)).toBe('0')
    expect(asks[0]?.isAnswered).toBe(true)
    expect(readFileSync(asks[0]?.contentPath ?? '').length).toBe(statSync(path).size)
    release({ allows: false, remember: 'bad' })
    opened.setPolicy({ ...policy, maxJudgeBytes: 1000, unknownLarge: 'hold' })
    answer = async () => ({ allows: false, remember: 'bad' })
    expect(await exec(path)).toBe('126')
  })

  it('does not run a file that somebody writes', async () => {
    await start()
    const path = place('written')
    const writer = openSync(path, 'r+')
    expect(await exec(path)).toBe('126')
    expect(asks).toEqual([])
    closeSync(writer)
    expect(await exec(path)).toBe('0')
  })

  it('judges again what changed while it was judged', async () => {
    await start('exec', { budgetMs: 60_000 })
    const path = place('changing')
    answer = async () => {
      if (asks.length === 1) appendFileSync(path, 'x')
      return { allows: asks.length === 1, remember: asks.length === 1 ? 'clean' : 'bad' }
    }
    expect(await exec(path)).toBe('126')
    expect(asks.length).toBe(2)
  })

  it('holds opens by mode, but not of who writes', async () => {
    await start('exec-and-open')
    const path = join(mount.path, 'data')
    execFileSync('sh', ['-c', `echo text > ${path}`])
    answer = async () => ({ allows: false, remember: 'bad' })
    const reader = place('reader', '/bin/cat')
    await exec(reader)
    const script = join(mount.path, 'read.sh')
    writeFileSync(script, `#!/bin/sh\nread line < ${path} && echo more >> ${path}\n`, { mode: 0o755 })
    answer = async (ask) => ({ allows: ask.path.toString() !== path, remember: 'nothing' })
    expect(await exec(script)).not.toBe('0')
    expect(asks.some(({ kind, path: asked }) => kind === 'open' && asked.toString() === path)).toBe(true)
    writeFileSync(script, `#!/bin/sh\necho more >> ${path}\n`, { mode: 0o755 })
    expect(await exec(script)).toBe('0')
  })

  it('never holds this process, what it starts, excluded paths and excluded programs', async () => {
    const opened = await start('exec-and-open')
    answer = async () => ({ allows: false, remember: 'nothing' })
    const path = place('program')
    execFileSync(path)
    mkdirSync(join(mount.path, 'free'))
    opened.excludePaths([Buffer.from(join(mount.path, 'free'))])
    expect(await exec(place('free/program'))).toBe('0')
    const shell = statSync('/bin/sh', { bigint: true })
    opened.excludePrograms([{ device: shell.dev, inode: shell.ino }])
    expect(await exec(path)).toBe('0')
    expect(asks).toEqual([])
  })

  it('holds programs of an overlay, as containers have', async () => {
    const opened = await start()
    for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(mount.path, name))
    place('lower/program')
    const merged = join(mount.path, 'merged')
    const layers = ['lowerdir=lower', 'upperdir=upper', 'workdir=work'].join(',')
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged], { cwd: mount.path })
    try {
      expect(await opened.mark(Buffer.from(merged))).toBeUndefined()
      answer = async () => ({ allows: false, remember: 'bad' })
      expect(await exec(join(merged, 'program'))).toBe('126')
      expect(asks.map(({ path }) => path.toString())).toEqual([join(merged, 'program')])
      const writer = openSync(join(merged, 'program'), 'r+')
      answer = async () => ({ allows: true, remember: 'clean' })
      expect(await exec(join(merged, 'program'))).toBe('126')
      closeSync(writer)
      expect(await exec(join(merged, 'program'))).toBe('0')
    } finally {
      execFileSync('umount', ['-l', merged])
    }
  })

  it('lets a known program of a lasting file system pass in the kernel, until somebody writes it', async () => {
    const opened = await start()
    expect(await opened.mark(Buffer.from(mount.path), { isLasting: true })).toBeUndefined()
    const path = place('program')
    for (let round = 0; round < 12; round += 1) expect(await exec(path)).toBe('0')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(stats?.events).toBeLessThan(8)
    answer = async () => ({ allows: false, remember: 'bad' })
    execFileSync(writeMapped, [path])
    expect(await exec(path)).toBe('126')
    expect(asks.length).toBe(2)
  })

  it('knows nothing of tmpfs, where a mapped writer leaves no trace, unless it keeps the file', async () => {
    const opened = await start()
    const memory = mountPrivate()
    if (memory === undefined) throw new Error('no tmpfs')
    try {
      expect(await opened.mark(Buffer.from(memory.path))).toBeUndefined()
      const path = join(memory.path, 'program')
      copyFileSync('/bin/true', path)
      for (let round = 0; round < 3; round += 1) expect(await exec(path)).toBe('0')
      expect(asks.length).toBe(3)
      expect(await opened.mark(Buffer.from(memory.path), { isLasting: true })).toBeUndefined()
      for (let round = 0; round < 3; round += 1) expect(await exec(path)).toBe('0')
      expect(asks.length).toBe(4)
      execFileSync(writeMapped, [path])
      answer = async () => ({ allows: false, remember: 'bad' })
      expect(await exec(path)).toBe('126')
    } finally {
      await opened.close()
      memory.unmount()
    }
  })

  it('judges again what was opened for writing while it was judged', async () => {
    await start('exec', { budgetMs: 60_000 })
    const memory = mountPrivate()
    if (memory === undefined) throw new Error('no tmpfs')
    try {
      await guard?.mark(Buffer.from(memory.path))
      const path = join(memory.path, 'program')
      copyFileSync('/bin/true', path)
      answer = async () => {
        if (asks.length > 1) return { allows: false, remember: 'bad' }
        // Not by this process: it would wait for itself.
        await runs(writeMapped, [path])
        return { allows: true, remember: 'clean' }
      }
      expect(await exec(path)).toBe('126')
      expect(asks.length).toBe(2)
    } finally {
      await guard?.close()
      memory.unmount()
    }
  })

  it.each([
    { type: 'ext4', isLasting: true },
    { type: 'ext4', isLasting: false },
    { type: 'tmpfs', isLasting: true },
    { type: 'tmpfs', isLasting: false },
  ] as const)('never lets a bad program run in a race with its writer: $type, $isLasting', async (place) => {
    const opened = await start('exec', { whenLate: 'deny', budgetMs: 60_000 })
    const raced = mountPrivate(place.type)
    if (raced === undefined) throw new Error(`no ${place.type}`)
    try {
      await opened.mark(Buffer.from(raced.path), { isLasting: place.isLasting })
      answer = async ({ contentPath }) =>
        /nc 192\.0\.2\.1 4444|EI[C]AR/.test(readFileSync(contentPath, 'latin1'))
          ? { allows: false, remember: 'bad' }
          : { allows: true, remember: 'clean' }
      const out = join(dir, `races-${place.type}-${place.isLasting}`)
      const command = `setsid sh -c 'sleep 0.05; "$0" race "$1" 42 "$2" > "$3"; mv "$3" "$3.done"' "$@" &`
      spawn('sh', ['-c', command, 'sh', load, raced.path, image, out], { stdio: 'ignore' })
      const told = await vi.waitFor(() => readFileSync(`${out}.done`, 'utf8'), {
        timeout: 50_000,
        interval: 50,
      })
      expect(JSON.parse(told)).toMatchObject({ ran: 0, gaveUp: 0, firstRan: 18 })
    } finally {
      await opened.close()
      raced.unmount()
    }
  })

  it('asks again about what passed in the kernel once everything is forgotten', async () => {
    const opened = await start()
    await opened.mark(Buffer.from(mount.path), { isLasting: true })
    const path = place('program')
    for (let round = 0; round < 8; round += 1) await exec(path)
    opened.forget()
    expect(await exec(path)).toBe('0')
    expect(asks.length).toBe(2)
  })

  it('counts what it did', async () => {
    await start()
    const path = place('program')
    for (let round = 0; round < 5; round += 1) await exec(path)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(stats).toMatchObject({ events: 5, fromTable: 4, asked: 1, denied: 0 })
    expect(stats?.p99AnswerUs).toBeGreaterThan(0)
  })

  it('lets everybody go when the helper is killed, and says so', async () => {
    const opened = await start('exec', { budgetMs: 60_000 })
    const path = place('program')
    answer = never
    const ended = exec(path)
    while (asks.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    process.kill(opened.pid, 'SIGKILL')
    expect(await ended).toBe('0')
    while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(ends).toEqual(['SIGKILL'])
  })

  it('ends with the agent, however that ended', async () => {
    const parent = join(import.meta.dirname, 'testdata/guard-parent.ts')
    const child = spawn(process.execPath, [parent, helperPath, mount.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const helperPid = await new Promise<number>((resolve) =>
      child.stdout.once('data', (line) => resolve(Number(String(line)))),
    )
    const path = place('program')
    const held = exec(path)
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.kill('SIGKILL')
    expect(await held).toBe('0')
    while (spawnSync('kill', ['-0', String(helperPid)]).status === 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
  })

  it('holds nobody for long when the agent is stopped', async () => {
    const parent = join(import.meta.dirname, 'testdata/guard-parent.ts')
    const child = spawn(process.execPath, [parent, helperPath, mount.path, '300'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGSTOP')
    const codes = await Promise.all(
      Array.from({ length: 6 }, async (_, index) => await exec(place(`program-${index}`))),
    )
    expect(codes).toEqual(Array(6).fill('0'))
    child.kill('SIGKILL')
  })

  it('says why it cannot work', async () => {
    const wanted = { mode: 'exec' as const, onAsk: answer, onEnd: () => undefined }
    await expect(openGuard({ ...wanted, helperPath: join(dir, 'missing') })).rejects.toThrow('was not built')
    const denied = join(dir, 'denied')
    writeFileSync(
      denied,
      `#!/bin/sh\nexec setpriv --bounding-set=-sys_admin --no-new-privs ${helperPath} "$@"\n`,
      {
        mode: 0o755,
      },
    )
    await expect(openGuard({ ...wanted, helperPath: denied })).rejects.toThrow('fanotify: EPERM')
    const stop = AbortSignal.abort()
    await expect(openGuard({ ...wanted, helperPath, signal: stop })).rejects.toThrow('cancelled')
  })
})
