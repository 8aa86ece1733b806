import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readJsonFile, writeFileAtomic, writeJsonFile } from './atomic-file.ts'
import { parseSizeBytes } from './bytes.ts'
import { fakeClock } from './clock.ts'
import { parseDurationMs } from './duration.ts'
import { derivedUuid, uuidv7 } from './ids.ts'
import { Semaphore, TokenBucket } from './limits.ts'
import { run } from './process.ts'
import { fullJitterDelayMs, retry } from './retry.ts'
import { generateSigningKey, sign, verify } from './signing.ts'

describe('ids', () => {
  it('sort in the order in which they were made', () => {
    const made = Array.from({ length: 10_000 }, () => uuidv7())
    expect([...made].sort()).toEqual(made)
    expect(new Set(made).size).toBe(made.length)
    expect(made[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('derive the same from the same, and keep parts apart', () => {
    expect(derivedUuid('a', 'b')).toBe(derivedUuid('a', 'b'))
    expect(derivedUuid('ab', '')).not.toBe(derivedUuid('a', 'b'))
  })
})

describe('limits', () => {
  it('let a burst through and then a rate', () => {
    const clock = fakeClock()
    const bucket = new TokenBucket({ perSecond: 10, burst: 2, clock })
    expect([bucket.take(), bucket.take(), bucket.take()]).toEqual([0, 0, 100])
    clock.advance(100)
    expect(bucket.take()).toBe(0)
  })

  it('admit waiters in order, skip those that gave up, refuse too many', async () => {
    const semaphore = new Semaphore({ capacity: 2, maxWaiting: 2 })
    const release = await semaphore.acquire(2)
    const aborter = new AbortController()
    const impatient = semaphore.acquire(1, aborter.signal)
    const patient = semaphore.acquire(2)
    await expect(semaphore.acquire(1)).rejects.toMatchObject({ code: 'too_many_requests' })
    aborter.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'aborted' })
    release()
    release()
    const releasePatient = await patient
    expect(semaphore.used).toBe(2)
    releasePatient()
    expect(semaphore.used).toBe(0)
  })
})

describe('files', () => {
  it('are replaced as a whole and read through a schema', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ringwall-files-'))
    const path = join(dir, 'a.json')
    const schema = {
      safeParse: (value: unknown) =>
        typeof value === 'object' ? { success: true as const, data: value } : { success: false as const },
    }
    expect(readJsonFile(path, schema)).toBeUndefined()
    writeJsonFile(path, { a: 1 })
    writeJsonFile(path, { a: 2 })
    expect(readJsonFile(path, schema)).toEqual({ a: 2 })
    writeFileAtomic(path, '{')
    expect(() => readJsonFile(path, schema)).toThrow(/damaged/)
    writeFileAtomic(path, '3')
    expect(() => readJsonFile(path, schema)).toThrow(/damaged/)
    expect(readFileSync(path, 'utf8')).toBe('3')
    rmSync(dir, { recursive: true })
  })
})

describe('signing', () => {
  it('verifies exactly the bytes that were signed', () => {
    const key = generateSigningKey()
    const signature = sign(key.privatePem, Buffer.from('policy 7'))
    expect(verify(key.publicPem, Buffer.from('policy 7'), signature)).toBe(true)
    expect(verify(key.publicPem, Buffer.from('policy 8'), signature)).toBe(false)
    expect(verify(key.publicPem, Buffer.from('policy 7'), 'junk')).toBe(false)
    expect(verify(generateSigningKey().publicPem, Buffer.from('policy 7'), signature)).toBe(false)
  })
})

describe('retry', () => {
  it('jitters below a doubling cap', () => {
    expect(fullJitterDelayMs({ attempt: 3, baseMs: 100, capMs: 10_000, random: () => 1 })).toBe(800)
    expect(fullJitterDelayMs({ attempt: 50, baseMs: 100, capMs: 10_000, random: () => 0.5 })).toBe(5000)
  })

  it('stops when it is not worth it', async () => {
    let tries = 0
    const work = async () => {
      tries += 1
      throw new Error('no')
    }
    await expect(retry(work, { tries: 5, baseMs: 0, capMs: 0, isWorthIt: () => tries < 3 })).rejects.toThrow(
      'no',
    )
    expect(tries).toBe(3)
  })
})

describe('units', () => {
  it.each([
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['7', undefined],
    ['-1s', undefined],
  ])('reads the duration %s', (text, expected) => expect(parseDurationMs(text)).toBe(expected))

  it.each([
    ['64MiB', 67_108_864],
    ['512', 512],
    ['1.5 GiB', 1_610_612_736],
    ['64MB', undefined],
  ])('reads the size %s', (text, expected) => expect(parseSizeBytes(text)).toBe(expected))
})

describe('run', () => {
  it('passes arguments as they are and cuts off what takes too long', async () => {
    expect((await run('printf', ['%s', '$(id); *'], { timeoutMs: 5000 })).stdout).toBe('$(id); *')
    await expect(run('sleep', ['60'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'command_failed' })
    await expect(run('/no/such/program', [], { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'command_failed',
    })
  })
})
