import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileHelper } from './compile.ts'
import {
  createFrameReader,
  decodeTexts,
  encodeFrame,
  encodeText,
  type FileKey,
  readFileKey,
  writeFileKey,
} from './frames.ts'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), bytes(300)), { maxLength: 8 })
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 64 }), (sent, cut) => {
        const received: [number, Buffer][] = []
        const read = createFrameReader((type, payload) => received.push([type, Buffer.from(payload)]))
        const stream = Buffer.concat(sent.map(([type, payload]) => encodeFrame(type, payload)))
        for (let at = 0; at < stream.length; at += cut) read(stream.subarray(at, at + cut))
        expect(received).toEqual(sent)
      }),
    )
  })

  it('refuses a length that no frame has', () => {
    const read = createFrameReader(() => undefined)
    expect(() => read(Buffer.from([0xff, 0xff, 0xff, 0xff, 1]))).toThrow('length 4294967295')
    expect(() => createFrameReader(() => undefined)(Buffer.alloc(4))).toThrow('length 0')
  })

  it('keeps texts and keys of files', () => {
    const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    const time = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    const key = fc.record({ device: number, inode: number, ctimeNs: time, mtimeNs: time, sizeBytes: number })
    fc.assert(
      fc.property(fc.array(bytes(100), { maxLength: 5 }), key, (texts, value: FileKey) => {
        expect([...decodeTexts(Buffer.concat(texts.map(encodeText)))]).toEqual(texts)
        const written = Buffer.alloc(44)
        writeFileKey(written, value, 4)
        expect(readFileKey(written, 4)).toEqual(value)
      }),
    )
    expect(() => [...decodeTexts(Buffer.from([9, 0, 1]))]).toThrow('cut off')
  })
})

describe('the parser of the helper, with sanitizers', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ringwall-fuzz-'))
  const program = join(dir, 'fuzz')
  beforeAll(() =>
    compileHelper(program, { isSanitized: true, main: join(import.meta.dirname, 'testdata/fuzz.c') }),
  )
  afterAll(() => rmSync(dir, { recursive: true }))

  const feed = (mode: string, input: Buffer) => {
    const { status, stderr } = spawnSync(program, [mode], { input })
    return { status, stderr: String(stderr) }
  }
  // One run of the program takes many frames, so few runs see much.
  const hostile = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 10 }), bytes(200)), { maxLength: 40 })
    .map((frames) => Buffer.concat(frames.map(([type, payload]) => encodeFrame(type, payload))))

  for (const mode of ['permission', 'journal']) {
    it(`${mode}: takes any frames without a fault`, () => {
      fc.assert(
        fc.property(hostile, (input) => {
          expect(feed(mode, input)).toEqual({ status: 0, stderr: '' })
        }),
        { numRuns: 30 },
      )
    })

    it(`${mode}: takes any bytes without a fault`, () => {
      fc.assert(
        fc.property(bytes(20_000), (input) => {
          expect(feed(mode, input)).toEqual({ status: 0, stderr: '' })
        }),
        { numRuns: 20 },
      )
    })
  }
})
