import { apiRoutes } from '@ringwall/contracts'
import { formatBytes } from '@ringwall/runtime'
import { type Context, printPage } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { formatTime } from '../output.ts'

type ListOptions = { json?: boolean; limit: string; search?: string; all?: boolean }

/** `ringwall machines` */
export async function listMachines(
  context: Context,
  { json = false, limit, search }: ListOptions,
): Promise<number> {
  const page = await context.client()(apiRoutes.listMachines, { query: { limit: Number(limit), search } })
  const { table } = context.text
  const headers = [
    table.hostname,
    table.os,
    table.pool,
    table.state,
    table.protection,
    table.findings,
    table.lastSeen,
    table.id,
  ]
  printPage(context, page, json, headers, (machine) => [
    machine.hostname,
    machine.osName,
    machine.pool,
    machine.linkState,
    machine.protection,
    String(machine.openFindings),
    formatTime(machine.lastSeenAt),
    machine.id,
  ])
  return exitCodes.ok
}

/** `ringwall findings`: the open ones; all with --all. */
export async function listFindings(
  context: Context,
  { json = false, limit, search, all = false }: ListOptions,
): Promise<number> {
  const page = await context.client()(apiRoutes.listFindings, {
    query: { limit: Number(limit), search, ...(all ? {} : { isOpen: 'true' as const }) },
  })
  const { table } = context.text
  const headers = [
    table.severity,
    table.title,
    table.state,
    table.hostname,
    table.path,
    table.detected,
    table.id,
  ]
  printPage(context, page, json, headers, (finding) => [
    finding.severity,
    finding.title,
    finding.state,
    finding.hostname,
    finding.path,
    formatTime(finding.detectedAt),
    finding.id,
  ])
  return exitCodes.ok
}

/** `ringwall quarantine list` */
export async function listQuarantine(
  context: Context,
  { json = false, limit, search, all = false }: ListOptions,
): Promise<number> {
  const page = await context.client()(apiRoutes.listQuarantine, {
    query: { limit: Number(limit), search, ...(all ? {} : { state: 'stored' as const }) },
  })
  const { table } = context.text
  const headers = [
    table.title,
    table.state,
    table.hostname,
    table.path,
    table.size,
    table.quarantined,
    table.id,
  ]
  printPage(context, page, json, headers, (item) => [
    item.title ?? '-',
    item.state,
    item.hostname,
    item.path,
    formatBytes(item.sizeBytes),
    formatTime(item.quarantinedAt),
    item.id,
  ])
  return exitCodes.ok
}
