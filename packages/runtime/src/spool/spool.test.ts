import { spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventClass } from '@ringwall/contracts'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Spool } from './spool.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringwall-spool-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const open = (capBytes = 1 << 20, segmentBytes = 1000) => Spool.open({ dir, capBytes, segmentBytes })
const texts = (spool: Spool, afterSeq = 0) => {
  const found: string[] = []
  for (let seq = afterSeq; ; ) {
    const records = spool.read({ afterSeq: seq, maxBytes: 500, maxRecords: 7 })
    if (records.length === 0) return found
    found.push(...records.map((record) => Buffer.from(record.payload).toString()))
    seq = records.at(-1)?.seq ?? seq
  }
}

describe('spool', () => {
  it('gives back what was appended, in order, across segments and a restart', () => {
    const spool = open()
    const written = Array.from({ length: 200 }, (_, index) => `event ${index}`)
    for (const text of written) spool.append('event', Buffer.from(text))
    expect(texts(spool)).toEqual(written)
    spool.close()
    const reopened = open()
    expect(texts(reopened)).toEqual(written)
    expect(reopened.epoch).toBe(spool.epoch)
  })

  it('forgets acknowledged segments and never uses a number twice', () => {
    const spool = open()
    let last = 0
    for (let index = 0; index < 100; index += 1) last = spool.append('event', Buffer.from(`event ${index}`))
    spool.ack(spool.epoch, last)
    expect(spool.stats()).toMatchObject({ records: 0, bytes: 0 })
    const reopened = open()
    expect(reopened.append('event', Buffer.from('next'))).toBeGreaterThan(last)
    expect(texts(reopened, last)).toEqual(['next'])
  })

  it('ignores an acknowledgement of another epoch', () => {
    const spool = open()
    const seq = spool.append('alert', Buffer.from('a'))
    spool.ack('00000000-0000-4000-8000-000000000000', seq)
    expect(texts(spool)).toEqual(['a'])
  })

  it('cuts off a torn tail and goes on', () => {
    const spool = open()
    spool.append('alert', Buffer.from('whole'))
    spool.close()
    const segment = readdirSync(dir).find((name) => name.endsWith('.seg')) ?? ''
    appendFileSync(join(dir, segment), Buffer.from([40, 0, 0, 0, 1, 2, 3]))
    const reopened = open()
    reopened.append('alert', Buffer.from('after'))
    expect(texts(reopened)).toEqual(['whole', 'after'])
  })

  it('sheds the least important first and tells every loss as a gap', () => {
    const spool = open(6000, 1000)
    for (let index = 0; index < 300; index += 1) {
      const eventClass: EventClass = index % 10 === 0 ? 'alert' : index % 2 === 0 ? 'event' : 'inventory'
      spool.append(eventClass, Buffer.from(`${eventClass} ${index}`.padEnd(30)))
    }
    const kept = texts(spool).map((text) => text.trim())
    expect(kept.filter((text) => text.startsWith('alert'))).toHaveLength(30)
    const lost = spool.takeGaps().reduce((sum, gap) => sum + gap.count, 0)
    expect(lost + kept.length).toBe(300)
    const { droppedByClass } = spool.stats()
    expect(droppedByClass.alert).toBe(0)
    expect(droppedByClass.inventory).toBeGreaterThan(droppedByClass.event)
  })

  it('opens whatever bytes a segment or the mark hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), (junk, at) => {
        const spool = open()
        for (let index = 0; index < 5; index += 1) spool.append('alert', Buffer.from(`event ${index}`))
        spool.close()
        const segment = join(dir, readdirSync(dir).find((name) => name.endsWith('.seg')) ?? '')
        const bytes = readFileSync(segment)
        bytes.set(junk.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length))
        writeFileSync(segment, bytes)
        const reopened = open()
        reopened.append('alert', Buffer.from('still works'))
        expect(texts(reopened).at(-1)).toBe('still works')
        reopened.close()
        for (const name of readdirSync(dir)) rmSync(join(dir, name))
      }),
      { numRuns: 50 },
    )
  })

  it('keeps every alert that it took, when the process is killed', async () => {
    const script = `
      import { Spool } from ${JSON.stringify(join(import.meta.dirname, 'spool.ts'))}
      import { writeSync } from 'node:fs'
      const spool = Spool.open({ dir: ${JSON.stringify(dir)}, capBytes: 1e9, segmentBytes: 4000 })
      for (;;) writeSync(1, spool.append('alert', Buffer.alloc(50)) + '\\n')`
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let output = ''
      child.stdout.on('data', (chunk) => {
        output += chunk
        if (output.length > 600) child.kill('SIGKILL')
      })
      await new Promise((resolve) => child.on('close', resolve))
      const taken = output.split('\n').slice(0, -1).map(Number)
      const spool = Spool.open({ dir, capBytes: 1e9 })
      const stored = new Set(
        spool.read({ afterSeq: 0, maxBytes: 1e9, maxRecords: 1e9 }).map((record) => record.seq),
      )
      for (
        let seq = spool.read({ afterSeq: Math.max(0, ...stored), maxBytes: 1e9, maxRecords: 1e9 });
        seq.length > 0;
      ) {
        for (const record of seq) stored.add(record.seq)
        seq = spool.read({ afterSeq: Math.max(...stored), maxBytes: 1e9, maxRecords: 1e9 })
      }
      expect(taken.filter((seq) => !stored.has(seq))).toEqual([])
      spool.close()
    }
  })
})
