import type { ScheduleRule } from '@ringwall/contracts'
import type { SlotWindow } from './types.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** A rule that matches no day within this many is taken for one that never does. */
const searchDays = 400

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(timeZone, format)
  }
  return format
}

/** Whether a name is one of the IANA time zones that this system knows. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name)
    return true
  } catch {
    return false
  }
}

/** The wall clock of a zone at an instant, as if it were UTC: milliseconds. */
function wallClockMs(atMs: number, timeZone: string): number {
  const parts: Record<string, number> = {}
  for (const { type, value } of formatOf(timeZone).formatToParts(atMs)) parts[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
  return Date.UTC(year, month - 1, day, hour, minute, second) + (((atMs % 1000) + 1000) % 1000)
}

/**
 * The instant at which a zone's clock shows this time. A time that happens twice is the first one; one that the
 * change to summer time leaves out is as much later as the clock jumps.
 */
export function instantOf(wallMs: number, timeZone: string): number {
  const before = wallClockMs(wallMs - dayMs, timeZone) - (wallMs - dayMs)
  const after = wallClockMs(wallMs + dayMs, timeZone) - (wallMs + dayMs)
  const fitting = [wallMs - before, wallMs - after].filter((atMs) => wallClockMs(atMs, timeZone) === wallMs)
  return fitting.length > 0 ? Math.min(...fitting) : wallMs - before
}

function matches(rule: ScheduleRule, midnightMs: number): boolean {
  const date = new Date(midnightMs)
  const weekday = date.getUTCDay() || 7
  const day = date.getUTCDate()
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  if (rule.kind === 'weekly') return rule.weekdays.includes(weekday)
  if (rule.kind === 'monthly')
    return rule.days.includes(day) || (day === lastDay && rule.days.some((wanted) => wanted > lastDay))
  if (weekday !== rule.weekday) return false
  return rule.week === -1 ? day > lastDay - 7 : Math.ceil(day / 7) === rule.week
}

export type Recurrence = { rule: ScheduleRule; startTime: string; timeZone: string }

function* startsFrom(
  { rule, startTime, timeZone }: Recurrence,
  fromMs: number,
): Generator<{ wallMs: number }> {
  const [hour = 0, minute = 0] = startTime.split(':').map(Number)
  const wall = wallClockMs(fromMs, timeZone)
  const midnight = wall - (((wall % dayMs) + dayMs) % dayMs)
  for (let day = 0; day < searchDays; day += 1) {
    const dayStart = midnight + day * dayMs
    if (matches(rule, dayStart)) yield { wallMs: dayStart + (hour * 60 + minute) * minuteMs }
  }
}

/** The first start after an instant; null for a rule that never comes. */
export function nextStartMs(recurrence: Recurrence, afterMs: number): number | null {
  for (const { wallMs } of startsFrom(recurrence, afterMs - dayMs)) {
    const atMs = instantOf(wallMs, recurrence.timeZone)
    if (atMs > afterMs) return atMs
  }
  return null
}

/** When a window that began at an instant ends: its length is that of the wall clock, so 22:00 to 06:00 stays that. */
export function windowEndMs(startMs: number, durationMinutes: number, timeZone: string): number {
  return instantOf(wallClockMs(startMs, timeZone) + durationMinutes * minuteMs, timeZone)
}

/** The opening that an instant is in, or the next one: of several that are open, the one that ends last. */
export function openingAt(
  windows: readonly (Recurrence & { durationMinutes: number })[],
  atMs: number,
): SlotWindow | null {
  let best: SlotWindow | null = null
  for (const window of windows) {
    for (const { wallMs } of startsFrom(window, atMs - window.durationMinutes * minuteMs - 2 * dayMs)) {
      const startMs = instantOf(wallMs, window.timeZone)
      const endMs = windowEndMs(startMs, window.durationMinutes, window.timeZone)
      if (endMs <= atMs) continue
      const isBetter =
        best === null ||
        (startMs <= atMs ? best.startMs > atMs || endMs > best.endMs : startMs < best.startMs)
      if (isBetter) best = { startMs, endMs }
      break
    }
  }
  return best
}
