import { apiRoutes, type ScanQueueEntry, type Schedule } from '@ringwall/contracts'
import { type Context, printPage } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { formatTime } from '../output.ts'
import { fill } from '../text/text.ts'

type ListOptions = { json?: boolean; limit: string; host?: string }

function stateOf(context: Context, { slot, progress }: ScanQueueEntry): string {
  const { queue } = context.text
  if (slot.state === 'waiting')
    return slot.reason === null ? queue.waiting : `${queue.waiting}: ${queue.reasons[slot.reason]}`
  const slowed = progress.throttledBy ?? []
  return slowed.length === 0 ? queue.running : `${queue.running} (${queue.slowed}: ${slowed.join(', ')})`
}

/** `ringwall queue`: machines that are scanned and wait, in order. */
export async function listQueue(
  context: Context,
  { json = false, limit, host }: ListOptions,
): Promise<number> {
  const page = await context.client()(apiRoutes.listScanQueueEntries, {
    query: { limit: Number(limit), ...(host === undefined ? {} : { hostId: host }) },
  })
  const { table } = context.text
  const headers = [table.hostname, table.state, table.host, table.priority, table.files, table.lastScan]
  printPage(context, page, json, headers, (entry) => [
    entry.hostname,
    stateOf(context, entry),
    entry.hostName ?? entry.hostId ?? '-',
    String(entry.priority),
    String(entry.progress.filesJudged),
    formatTime(entry.lastScanAt),
  ])
  return exitCodes.ok
}

function ruleText(context: Context, { rule, startTime, timeZone }: Schedule): string {
  const { schedules } = context.text
  const when =
    rule.kind === 'weekly'
      ? rule.weekdays.map((weekday) => schedules.weekdays[weekday - 1] ?? '').join(' ')
      : rule.kind === 'monthly'
        ? fill(schedules.monthDays, { days: rule.days.join(', ') })
        : fill(schedules.monthWeekday, {
            week: rule.week === -1 ? schedules.last : rule.week,
            weekday: schedules.weekdays[rule.weekday - 1] ?? '',
          })
  return `${when} ${startTime} ${timeZone}`
}

/** `ringwall schedules list` */
export async function listSchedules(context: Context, { json = false, limit }: ListOptions): Promise<number> {
  const page = await context.client()(apiRoutes.listSchedules, { query: { limit: Number(limit) } })
  const { table } = context.text
  const headers = [table.name, table.when, table.machines, table.nextRun, table.lastRun, table.id]
  printPage(context, page, json, headers, (schedule) => [
    schedule.name,
    ruleText(context, schedule),
    String(schedule.machines),
    formatTime(schedule.nextRunAt),
    schedule.lastRun === null ? '-' : `${schedule.lastRun.state} ${formatTime(schedule.lastRun.startedAt)}`,
    schedule.id,
  ])
  return exitCodes.ok
}
