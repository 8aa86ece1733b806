import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileMemoryAddon } from './compile.ts'
import { memoryInUse, openReleaseMemory } from './memory.ts'

const hasCompiler = spawnSync('gcc', ['--version']).status === 0
if (!hasCompiler) process.stdout.write('skipped: no gcc to build the add-on with\n')

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'memory-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

it('does without the add-on', () => {
  expect(openReleaseMemory(join(dir, 'none.node'))).toBeUndefined()
})

it('says what this process has in memory', () => {
  const { fileBytes, ownBytes } = memoryInUse()
  expect(fileBytes).toBeGreaterThan(0)
  expect(ownBytes).toBeGreaterThan(0)
})

describe.skipIf(!hasCompiler)('the add-on', () => {
  it('gives code back, and everything goes on, also in other threads and while they run', () => {
    const addon = join(dir, 'ringwall-memory.node')
    compileMemoryAddon(addon)
    // A process of its own: what it loses must not be what the tests need.
    const script = `
      import assert from 'node:assert'
      import { createHash } from 'node:crypto'
      import { Worker } from 'node:worker_threads'
      import { memoryInUse, openReleaseMemory } from ${JSON.stringify(join(import.meta.dirname, 'memory.ts'))}
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
})
