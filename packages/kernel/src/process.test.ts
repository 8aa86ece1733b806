import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileProcessAddon } from './compile.ts'
import { memoryInUse, openReleaseMemory, yieldDisk } from './process.ts'

const hasCompiler = spawnSync('gcc', ['--version']).status === 0
if (!hasCompiler) process.stdout.write('skipped: no gcc to build the add-on with\n')

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'memory-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

it('does without the add-on', () => {
  expect(openReleaseMemory(join(dir, 'none.node'))).toBeUndefined()
  expect(yieldDisk(join(dir, 'none.node'))).toBe(false)
})

it('says what this process has in memory', () => {
  const { fileBytes, ownBytes } = memoryInUse()
  expect(fileBytes).toBeGreaterThan(0)
  expect(ownBytes).toBeGreaterThan(0)
})

describe.skipIf(!hasCompiler)('the add-on', () => {
  it('gives code back, and everything goes on, also in other threads and while they run', () => {
    const addon = join(dir, 'ringwall-process.node')
    compileProcessAddon(addon)
    // A process of its own: what it loses must not be what the tests need.
    const script = `
      import assert from 'node:assert'
      import { createHash } from 'node:crypto'
      import { Worker } from 'node:worker_threads'
      import { memoryInUse, openReleaseMemory } from ${JSON.stringify(join(import.meta.dirname, 'process.ts'))}
      const release = openReleaseMemory(${JSON.stringify(addon)})
      assert(release !== undefined)
      const before = memoryInUse().fileBytes
      const released = release()
      const after = memoryInUse().fileBytes
      const worker = new Worker(\`
        import { createHash } from 'node:crypto'
        import { parentPort } from 'node:worker_threads'
        let text = ''
        for (let turn = 0; turn < 20000; turn += 1) text = createHash('sha256').update(text).digest('hex')
        parentPort.postMessage(text)
      \`, { eval: true })
      const ended = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      const timer = setInterval(release, 1)
      const theirs = await ended
      clearInterval(timer)
      let text = ''
      for (let turn = 0; turn < 20000; turn += 1) text = createHash('sha256').update(text).digest('hex')
      console.log(JSON.stringify({ before, after, released, isSame: theirs === text }))
      await worker.terminate()
    `
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { before, after, released, isSame } = JSON.parse(stdout) as Record<string, number>
    expect(isSame).toBe(true)
    expect(released).toBeGreaterThan(8 * 1024 * 1024)
    expect(after).toBeLessThan((before ?? 0) / 2)
  })

  it('puts a thread and what it starts behind others at the disk, and no other thread', () => {
    const addon = join(dir, 'yield.node')
    compileProcessAddon(addon)
    const script = `
      import { execFileSync } from 'node:child_process'
      import { Worker } from 'node:worker_threads'
      const classOf = () => execFileSync('sh', ['-c', 'ionice -p $$'], { encoding: 'utf8' }).trim()
      const { yieldDisk } = await import(${JSON.stringify(join(import.meta.dirname, 'process.ts'))})
      const worker = new Worker(\`
        import { execFileSync } from 'node:child_process'
        import { parentPort } from 'node:worker_threads'
        import { yieldDisk } from ${JSON.stringify(join(import.meta.dirname, 'process.ts'))}
        const isDone = yieldDisk(${JSON.stringify(addon)})
        const theirs = execFileSync('sh', ['-c', 'ionice -p $$'], { encoding: 'utf8' }).trim()
        parentPort.postMessage({ isDone, theirs })
      \`, { eval: true })
      const said = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      console.log(JSON.stringify({ ...said, ours: classOf() }))
    `
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({ isDone: true, theirs: 'idle', ours: 'none: prio 0' })
  })
})
