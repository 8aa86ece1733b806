import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isRunning, parseProcessStat, readProcessStat } from './processes.ts'

const TAIL = '1 4711 4711 0 -1 4194560 2 0 0 0 0 0 0 0 20 0 1 0'

describe('parseProcessStat', () => {
  it('reads a running server and a zombie', () => {
    expect(parseProcessStat(`4711 (postgres) S ${TAIL} 987654 0 0`)).toEqual({
      pid: 4711,
      name: 'postgres',
      state: 'S',
      startTicks: 987654,
    })
    const zombie = parseProcessStat(`4711 (postgres) Z ${TAIL} 987654 0 0`)
    expect(zombie && isRunning(zombie)).toBe(false)
  })

  it('takes any name, even one that looks like the rest of the line', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 15 }),
        fc.constantFrom('R', 'S', 'D', 'Z'),
        fc.nat(),
        (name, state, ticks) => {
          const parsed = parseProcessStat(`12 (${name}) ${state} ${TAIL} ${ticks} 0`)
          expect(parsed).toEqual({ pid: 12, name, state, startTicks: ticks })
        },
      ),
    )
  })

  it('refuses other text without throwing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseProcessStat(text)
        expect(parsed === undefined || Number.isSafeInteger(parsed.startTicks)).toBe(true)
      }),
    )
    expect(parseProcessStat('12 (a) S 1')).toBeUndefined()
  })

  it('reads this very process', () => {
    const own = readProcessStat(process.pid)
    expect(own?.pid).toBe(process.pid)
    expect(own && isRunning(own)).toBe(true)
  })
})
