import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { AppError, apiRoutes, encodePath, type Scan, type ScanProgress } from '@ringwall/contracts'
import { formatBytes, sleep } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { fill } from '../text/text.ts'

type ScanOptions = { machine?: string; host?: string; wait?: boolean; json?: boolean }

/** The center tells when to look again; without its word, or when one was lost, we look after this. */
const pollIntervalsMs = { untold: 500, told: 10_000 }
/** However fast progress comes, it is read at most this often. */
const progressMs = 250

/** The id of this machine's own agent, from its state directory. */
function localMachineId(context: Context): string {
  try {
    const identity: unknown = JSON.parse(readFileSync(join(context.home, 'agent', 'identity.json'), 'utf8'))
    if (
      typeof identity === 'object' &&
      identity !== null &&
      'id' in identity &&
      typeof identity.id === 'string'
    )
      return identity.id
  } catch {
    // Falls through: no agent here.
  }
  throw new AppError('scan_path_invalid', { path: '.', reason: context.text.scan.noLocal })
}

async function findMachine(context: Context, nameOrId: string): Promise<{ id: string; hostname: string }> {
  const page = await context.client()(apiRoutes.listMachines, { query: { search: nameOrId, limit: 500 } })
  const exact = page.items.filter((machine) => machine.id === nameOrId || machine.hostname === nameOrId)
  if (exact.length === 1 && exact[0] !== undefined) return exact[0]
  if (exact.length === 0) throw new AppError('not_found', { kind: 'machine', id: nameOrId })
  throw new AppError('conflict', { kind: 'machine', id: nameOrId })
}

function skippedTotal(progress: ScanProgress): number {
  return Object.values(progress.skipped).reduce((sum, count) => sum + count, 0)
}

function progressLine(
  context: Context,
  { filesJudged, filesPerSecond, bytesHashed, findings, remainingSeconds }: ScanProgress,
): string {
  const { text } = context
  return fill(text.scan.progress, {
    files: filesJudged,
    rate: Math.round(filesPerSecond),
    bytes: formatBytes(bytesHashed),
    findings,
    left: remainingSeconds === null ? '' : fill(text.scan.left, { seconds: Math.ceil(remainingSeconds) }),
  })
}

/** Why a scan has not begun: what its first machine waits for. */
async function reasonOf(context: Context, scanId: string): Promise<string> {
  const { items } = await context.client()(apiRoutes.listScanTargets, {
    params: { id: scanId },
    query: { limit: 1 },
  })
  const reason = items[0]?.slot?.reason
  return reason === undefined || reason === null
    ? context.text.queue.waiting
    : context.text.queue.reasons[reason]
}

async function waitForScan(
  context: Context,
  started: Scan,
  hostname: string,
  signal: AbortSignal,
): Promise<Scan> {
  const isTerminal = process.stderr.isTTY === true
  let scan = started
  let lastLine = ''
  const following = new AbortController()
  let isChanged = false
  let wake: (() => void) | undefined
  let readAtMs = performance.now()
  const look = () => {
    isChanged = true
    wake?.()
  }
  const live = context.live(
    (message) => {
      if (message.type !== 'scan.progress')
        return message.type === 'reset' || message.object === 'scan' ? look() : undefined
      if (message.scanId === scan.id && performance.now() - readAtMs >= progressMs) look()
    },
    AbortSignal.any([signal, following.signal]),
  )
  /** Resolves when there is something to look at. */
  const somethingNew = async () => {
    const resting = new AbortController()
    const restMs = live.isOpen() ? pollIntervalsMs.told : pollIntervalsMs.untold
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    if (!isChanged)
      await Promise.race([
        woken,
        sleep(restMs, AbortSignal.any([signal, resting.signal])).catch((error: unknown) => {
          if (signal.aborted) throw error
        }),
      ])
    resting.abort()
    isChanged = false
  }
  while (scan.state === 'queued' || scan.state === 'running') {
    await somethingNew()
    readAtMs = performance.now()
    scan = (await context.client()(apiRoutes.getScan, { params: { id: scan.id } })).scan
    const line =
      scan.state === 'queued'
        ? fill(context.text.scan.waiting, { hostname, reason: await reasonOf(context, scan.id) })
        : progressLine(context, scan.progress)
    if (isTerminal) process.stderr.write(`\r\u001b[K${line}`)
    else if (line !== lastLine && scan.state === 'queued') context.note(line)
    lastLine = line
  }
  following.abort()
  if (isTerminal) process.stderr.write('\r\u001b[K')
  return scan
}

/** `ringwall scan [PATH…]`: exits with 3 when something was found and --wait was given. */
export async function scan(
  context: Context,
  paths: string[],
  options: ScanOptions,
  signal: AbortSignal,
): Promise<number> {
  const { host } = options
  const isLocal = options.machine === undefined && host === undefined
  const machine =
    host === undefined ? await findMachine(context, options.machine ?? localMachineId(context)) : undefined
  const absolute = paths.map((path) => encodePath(Buffer.from(isLocal ? resolve(path) : path)))
  const { scan: started } = await context.client()(apiRoutes.startScan, {
    body: {
      machineIds: machine === undefined ? [] : [machine.id],
      hosts: host === undefined ? [] : [host],
      paths: absolute,
    },
  })
  const where =
    machine?.hostname ?? fill(context.text.scan.onHost, { machines: started.machines, host: host ?? '' })
  if (!options.wait) {
    context.print(
      options.json
        ? JSON.stringify(started, null, 2)
        : fill(context.text.scan.queued, { id: started.id, hostname: where }),
    )
    return exitCodes.ok
  }
  const ended = await waitForScan(context, started, where, signal)
  const findings = await context.client()(apiRoutes.listFindings, { query: { scanId: ended.id, limit: 500 } })
  if (options.json) {
    context.print(JSON.stringify({ scan: ended, findings: findings.items }, null, 2))
  } else {
    for (const finding of findings.items) context.print(`${finding.state}  ${finding.title}  ${finding.path}`)
    context.print(
      fill(context.text.scan.ended, {
        state: ended.state,
        files: ended.progress.filesJudged,
        findings: findings.total,
        skipped: skippedTotal(ended.progress),
      }),
    )
    for (const [reason, count] of Object.entries(ended.progress.skipped).sort())
      context.print(`  ${context.text.scan.skipped} ${reason}: ${count}`)
  }
  if (ended.state !== 'completed') return exitCodes.failed
  return findings.total > 0 ? exitCodes.found : exitCodes.ok
}
