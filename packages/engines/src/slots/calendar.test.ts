import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { instantOf, isTimeZone, nextStartMs, openingAt, windowEndMs } from './calendar.ts'

const at = (text: string) => Date.parse(text)
const iso = (value: number | null) => (value === null ? null : new Date(value).toISOString())
const weekly = (weekdays: number[], startTime: string, timeZone: string) => ({
  rule: { kind: 'weekly' as const, weekdays },
  startTime,
  timeZone,
})

describe('time zones', () => {
  it('know a name or refuse it', () => {
    expect(isTimeZone('Asia/Shanghai')).toBe(true)
    expect(isTimeZone('Asia/Nowhere')).toBe(false)
  })

  it('move a time that summer time leaves out, and take the first of one that comes twice', () => {
    expect(iso(instantOf(at('2026-03-29T02:30:00Z'), 'Europe/Berlin'))).toBe('2026-03-29T01:30:00.000Z')
    expect(iso(instantOf(at('2026-10-25T02:30:00Z'), 'Europe/Berlin'))).toBe('2026-10-25T00:30:00.000Z')
  })

  it('come back from the wall clock to the instant, everywhere', () => {
    const zones = ['Asia/Shanghai', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC']
    fc.assert(
      fc.property(fc.constantFrom(...zones), fc.integer({ min: 0, max: 40_000_000 }), (zone, minutes) => {
        const wall = minutes * 60_000
        const once = instantOf(wall, zone)
        const shown = new Date(once).toLocaleString('sv-SE', { timeZone: zone })
        const wanted = new Date(wall).toISOString().slice(0, 19).replace('T', ' ')
        // Only a time that the zone leaves out is shown otherwise, and then later.
        expect(shown >= wanted).toBe(true)
      }),
    )
  })
})

describe('rules', () => {
  it('find the next weekday in local time', () => {
    // Thursday 23:30 in Shanghai is Thursday 15:30 UTC.
    const friday = weekly([5], '01:00', 'Asia/Shanghai')
    expect(iso(nextStartMs(friday, at('2026-11-26T15:30:00Z')))).toBe('2026-11-26T17:00:00.000Z')
    expect(iso(nextStartMs(friday, at('2026-11-26T17:00:00Z')))).toBe('2026-12-03T17:00:00.000Z')
  })

  it('know days of months, the last day, and the n-th weekday', () => {
    const monthly = (days: number[]) => ({
      rule: { kind: 'monthly' as const, days },
      startTime: '03:00',
      timeZone: 'UTC',
    })
    expect(iso(nextStartMs(monthly([31]), at('2026-02-01T00:00:00Z')))).toBe('2026-02-28T03:00:00.000Z')
    const second = {
      rule: { kind: 'monthlyWeekday' as const, week: 2 as const, weekday: 2 },
      startTime: '03:00',
      timeZone: 'UTC',
    }
    expect(iso(nextStartMs(second, at('2026-11-01T00:00:00Z')))).toBe('2026-11-10T03:00:00.000Z')
    const last = { ...second, rule: { ...second.rule, week: -1 as const } }
    expect(iso(nextStartMs(last, at('2026-11-01T00:00:00Z')))).toBe('2026-11-24T03:00:00.000Z')
  })
})

describe('windows', () => {
  it('keep their hours when the clock changes', () => {
    // The night of 29 March 2026 has one hour less in Berlin.
    const start = at('2026-03-28T21:00:00Z')
    expect(iso(windowEndMs(start, 8 * 60, 'Europe/Berlin'))).toBe('2026-03-29T04:00:00.000Z')
  })

  it('answer the open one, or the next', () => {
    const nights = [{ ...weekly([1, 2, 3, 4, 5], '22:00', 'UTC'), durationMinutes: 480 }]
    const of = (text: string) => {
      const found = openingAt(nights, at(text))
      return [iso(found?.startMs ?? null), iso(found?.endMs ?? null)]
    }
    expect(of('2026-11-25T03:00:00Z')).toEqual(['2026-11-24T22:00:00.000Z', '2026-11-25T06:00:00.000Z'])
    expect(of('2026-11-25T06:00:00Z')).toEqual(['2026-11-25T22:00:00.000Z', '2026-11-26T06:00:00.000Z'])
    expect(of('2026-11-28T12:00:00Z')).toEqual(['2026-11-30T22:00:00.000Z', '2026-12-01T06:00:00.000Z'])
  })
})
