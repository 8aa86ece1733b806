import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { compileHelper } from './compile.ts'
import { type Guard, openGuard } from './guard.ts'
import { mountPrivate } from './testing/private-mount.ts'

const mount = mountPrivate()
if (mount === undefined) process.stderr.write('urgency.test: skipped, this account may not mount\n')

/** How the kernel schedules a process (proc(5), stat). */
const classOf = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')
  return { 0: 'ordinary', 2: 'real-time' }[fields?.[38] ?? '']
}
const niceOf = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[16])

describe.skipIf(mount === undefined)('the priority of the helper', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ringwall-urgency-'))
  const helperPath = join(dir, 'ringwall-guard')
  const goesOn = join(dir, 'goes-on')
  let guard: Guard | undefined
  beforeAll(() => compileHelper(helperPath))
  afterEach(async () => {
    rmSync(goesOn, { force: true })
    await guard?.close()
  })
  afterAll(() => {
    rmSync(dir, { recursive: true })
    mount?.unmount()
  })

  it('is the highest of ordinary ones, and real-time once others keep the processor from it', async () => {
    const folder = mount?.path ?? ''
    const program = join(folder, 'program')
    copyFileSync('/bin/true', program)
    guard = await openGuard({
      helperPath,
      mode: 'exec',
      onAsk: async () => ({ allows: true, remember: 'clean' }),
      onEnd: () => undefined,
    })
    const { pid } = guard
    expect(await guard.mark(Buffer.from(folder))).toBeUndefined()
    const calm = { class: 'ordinary', nice: -20 }
    await vi.waitFor(() => expect({ class: classOf(pid), nice: niceOf(pid) }).toEqual(calm), {
      timeout: 60_000,
      interval: 100,
    })

    // Not below this process, which would never be held.
    writeFileSync(goesOn, '')
    const loop = 'while [ -e "$1" ]; do "$0"; done'
    spawn('sh', ['-c', `setsid sh -c '${loop}' "$0" "$1" &`, program, goesOn], { stdio: 'ignore' })
    execFileSync('taskset', ['-c', '-p', '0', String(pid)], { stdio: 'ignore' })
    // Leaves an ordinary process one twentieth of each second, whatever else is at work.
    const busy = ['-c', '0', 'chrt', '--rr', '1', 'sh', '-c', 'while :; do :; done']
    const other = spawn('taskset', busy, { stdio: 'ignore' })
    try {
      await vi.waitFor(() => expect(classOf(pid)).toBe('real-time'), { timeout: 60_000, interval: 20 })
    } finally {
      other.kill('SIGKILL')
    }
    await vi.waitFor(() => expect(classOf(pid)).toBe('ordinary'), { timeout: 60_000, interval: 100 })
  }, 180_000)
})
