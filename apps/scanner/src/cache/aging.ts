import { setImmediate as others } from 'node:timers/promises'
import type { VerdictTable } from './verdict-table.ts'

const dayMs = 86_400_000
/** Days from which the groups of ages begin, after the first. */
const ageDays = [1, 7, 30, 90]
const hourOf = (seconds: number) => Math.floor(seconds / 3600)

/** Counts entries by age (today, 1–6, 7–29, 30–89, 90 days and older) and those that `isStale`; lets others run. */
export async function surveyTable(
  table: VerdictTable,
  isStale: (code: number, version: number) => boolean,
  nowMs: number,
): Promise<{ ages: number[]; staleEntries: number }> {
  const ages = [0, 0, 0, 0, 0]
  let staleEntries = 0
  const count = (code: number, version: number, seconds: number) => {
    const days = (nowMs - seconds * 1000) / dayMs
    const group = ageDays.filter((from) => days >= from).length
    ages[group] = (ages[group] ?? 0) + 1
    if (isStale(code, version)) staleEntries += 1
  }
  for (const _ of table.survey(count)) await others()
  return { ages, staleEntries }
}

/** Drops the oldest entries, to the hour, until `wantedEntries` are left; lets others run. */
export async function evictOldest(table: VerdictTable, wantedEntries: number): Promise<void> {
  const hours = new Map<number, number>()
  const count = (_code: number, _version: number, seconds: number) =>
    hours.set(hourOf(seconds), (hours.get(hourOf(seconds)) ?? 0) + 1)
  for (const _ of table.survey(count)) await others()
  let surplus = table.size - wantedEntries
  let lastHour = Number.NEGATIVE_INFINITY
  for (const [hour, entries] of [...hours].sort(([a], [b]) => a - b)) {
    lastHour = hour
    if (entries >= surplus) break
    surplus -= entries
  }
  const keep = (_code: number, _version: number, seconds: number) => {
    if (hourOf(seconds) !== lastHour) return hourOf(seconds) > lastHour
    surplus -= 1
    return surplus < 0
  }
  for (const _ of table.retain(keep)) await others()
}
