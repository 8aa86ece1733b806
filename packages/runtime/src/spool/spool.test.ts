import { spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventClass } from '@ringwall/contracts'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SpoolRecord } from './segment.ts'
import { Spool } from './spool.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringwall-spool-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const open = (capBytes = 1 << 20, segmentBytes = 1000) => Spool.open({ dir, capBytes, segmentBytes })
const readAll = (spool: Spool, afterSeq = 0) => {
  const found: SpoolRecord[] = []
  for (let seq = afterSeq; ; ) {
    const { records } = spool.read({ afterSeq: seq, maxBytes: 500, maxRecords: 7 })
    if (records.length === 0) return found
    found.push(...records)
    seq = records.at(-1)?.seq ?? seq
  }
}

const texts = (spool: Spool, afterSeq = 0) =>
  readAll(spool, afterSeq).map((record) => Buffer.from(record.payload).toString())
const segmentFiles = () =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.seg'))
    .sort()
    .map((name) => join(dir, name))

/** What was taken and neither comes back nor is told as lost. */
const untold = (taken: number[], spool: Spool) => {
  const kept = new Set(readAll(spool).map((record) => record.seq))
  const gaps = spool.takeGaps()
  return taken.filter((seq) => !kept.has(seq) && !gaps.some((gap) => gap.fromSeq <= seq && seq <= gap.toSeq))
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

  it('keeps its cap, and drops alerts only when nothing else is left', () => {
    const spool = open(6000, 1000)
    for (let index = 0; index < 300; index += 1) {
      spool.append('alert', Buffer.alloc(30))
      expect(spool.stats().bytes).toBeLessThanOrEqual(6000)
    }
    const { droppedByClass, records } = spool.stats()
    expect(droppedByClass.alert + records).toBe(300)
  })

  it('tells gaps after a restart too, once', () => {
    const spool = open(3000, 1000)
    for (let index = 0; index < 100; index += 1) spool.append('inventory', Buffer.alloc(50))
    spool.close()
    const reopened = open(3000, 1000)
    expect(reopened.takeGaps()).not.toEqual([])
    expect(reopened.takeGaps()).toEqual([])
    reopened.close()
    expect(open(3000, 1000).takeGaps()).toEqual([])
  })

  it('tells what waits', () => {
    const spool = open()
    expect(spool.stats()).toEqual({
      records: 0,
      bytes: 0,
      droppedByClass: { alert: 0, event: 0, inventory: 0 },
      oldestSeq: undefined,
    })
    const [first = 0] = [1, 2, 3].map(() => spool.append('event', Buffer.alloc(10)))
    expect(spool.stats()).toMatchObject({ records: 3, oldestSeq: first })
    spool.ack(spool.epoch, first)
    expect(spool.stats().oldestSeq).toBe(first + 1)
    spool.close()
    expect(open().ackedSeq).toBe(first)
  })

  it('keeps the records and their epoch when the mark is damaged, and reuses no number', () => {
    const spool = open()
    const taken = ['a', 'b', 'c'].map((text) => spool.append('alert', Buffer.from(text)))
    spool.close()
    writeFileSync(join(dir, 'mark.json'), '{')
    const reopened = open()
    expect(reopened.epoch).toBe(spool.epoch)
    expect(texts(reopened)).toEqual(['a', 'b', 'c'])
    expect(reopened.append('alert', Buffer.from('d'))).toBeGreaterThan((taken.at(-1) ?? 0) + 1_000_000)
  })

  it.each(['at the next start', 'while it is open'])('loses one damaged record only, noticed %s', (when) => {
    const spool = open()
    const taken = ['a', 'b', 'c', 'd'].map((text) => spool.append('alert', Buffer.from(text)))
    if (when === 'at the next start') spool.close()
    const [path = ''] = segmentFiles()
    const bytes = readFileSync(path)
    bytes[32 + 2 * 18 - 1] = 0
    writeFileSync(path, bytes)
    const current = when === 'at the next start' ? open() : spool
    expect(texts(current)).toEqual(['a', 'c', 'd'])
    const seq = taken[1]
    expect(current.takeGaps()).toEqual([{ fromSeq: seq, toSeq: seq, count: 1, class: 'alert' }])
    current.append('alert', Buffer.from('e'))
    current.close()
    expect(texts(open())).toEqual(['a', 'c', 'd', 'e'])
  })

  it('loses nothing silently, whatever bytes a segment or the mark hold', () => {
    const damage = fc.record({
      file: fc.nat(3),
      at: fc.nat(400),
      junk: fc.uint8Array({ minLength: 1, maxLength: 60 }),
    })
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), fc.boolean(), (damages, isMarkHit) => {
        const spool = open(1 << 20, 150)
        const taken = Array.from({ length: 12 }, (_, index) =>
          spool.append('alert', Buffer.from(`event ${index}`)),
        )
        spool.close()
        const files = segmentFiles()
        for (const { file, at, junk } of damages) {
          const path = files[file % files.length] ?? ''
          const bytes = readFileSync(path)
          bytes.set(junk.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length))
          writeFileSync(path, bytes)
        }
        if (isMarkHit) writeFileSync(join(dir, 'mark.json'), damages[0]?.junk ?? '')
        const reopened = open(1 << 20, 150)
        expect(untold(taken, reopened)).toEqual([])
        const next = reopened.append('alert', Buffer.from('still works'))
        expect(next).toBeGreaterThan(taken.at(-1) ?? 0)
        expect(texts(reopened).at(-1)).toBe('still works')
        reopened.close()
        for (const name of readdirSync(dir)) rmSync(join(dir, name))
      }),
      { numRuns: 150 },
    )
  })

  it('behaves like a list with a mark, whatever is done to it', () => {
    const eventClass = fc.constantFrom<EventClass>('alert', 'event', 'inventory')
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('append' as const),
        eventClass,
        payload: fc.uint8Array({ maxLength: 90 }),
      }),
      fc.record({ kind: fc.constant('ack' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ kind: fc.constantFrom('restart' as const, 'flush' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let spool = open(1 << 20, 300)
        let model: SpoolRecord[] = []
        let lastSeq = 0
        for (const action of steps) {
          if (action.kind === 'append') {
            const seq = spool.append(action.eventClass, action.payload)
            expect(seq).toBeGreaterThan(lastSeq)
            lastSeq = seq
            model.push({ seq, class: action.eventClass, payload: Buffer.from(action.payload) })
          } else if (action.kind === 'ack') {
            const acked = Math.floor(lastSeq * action.share)
            spool.ack(spool.epoch, acked)
            model = model.filter((record) => record.seq > acked)
          } else if (action.kind === 'flush') spool.flush()
          else {
            spool.close()
            spool = open(1 << 20, 300)
          }
          expect(readAll(spool)).toEqual(model)
        }
        expect(spool.takeGaps()).toEqual([])
        spool.close()
        for (const name of readdirSync(dir)) rmSync(join(dir, name))
      }),
      { numRuns: 60 },
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
      const stored = new Set(readAll(spool).map((record) => record.seq))
      expect(taken.filter((seq) => !stored.has(seq))).toEqual([])
      spool.close()
    }
  })
})
