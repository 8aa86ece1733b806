import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createEventReader } from './live.ts'

it('reads messages however the stream is cut', () => {
  const stream = ': welcome\n\nid: 1\ndata: {"a":1}\n\n: still here\n\ndata: x\ndata: y\n\ndata: unfinished'
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), stream.length]
      const read = createEventReader()
      const found = places.slice(1).flatMap((end, index) => read(stream.slice(places[index], end)))
      expect(found).toEqual(['{"a":1}', 'x\ny'])
    }),
  )
})

it('lets go of what never ends', () => {
  const read = createEventReader()
  for (let piece = 0; piece < 40; piece += 1) expect(read('x'.repeat(64 * 1024))).toEqual([])
  expect(read('\n\ndata: 1\n\n')).toEqual(['1'])
})
