/** Scans while programs are killed, beside a scan that nobody disturbs: both must say the same of every file. */
import { deepStrictEqual } from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '@ringwall/platforms'
import { createPhases, type Phase, phases, type StruckScan } from './chaos-phases.ts'
import { growTree, maxFileBytes } from './chaos-tree.ts'
import { createSite, type Json, type Site, waitFor } from './harness.ts'

const victims = ['agent', 'scanner', 'center'] as const
type Victim = (typeof victims)[number]
/** From when a scan is under way to the next kill at the latest, and until the killed one comes back. */
const untilKillMs = 1_500
const awayMs = 500
/** At most: then a scan is left alone, or it would not get further than to its start. */
const killsInOneScan = 12
/** In percent: strikes that come at any time, and those that wait for a change of the manifests and hit it right then. */
const strikes = { blind: 15, aimed: 25 }
/** In percent: another program is killed at the same time. */
const oneMore = 30
const patience = { underWayMs: 20_000, aimMs: 2_000 }
const aimSpreadMs = 20
const patienceMs = 600_000
/** Of all kills, in percent: these happen while bad files are taken away, not only reported. */
const killsInQuarantine = 25

export type ChaosOptions = {
  kills: number
  files: number
  seed: number
  say?: (text: string) => void
}
export type ChaosResult = {
  scans: number
  killsOf: Record<Victim, number>
  /** Where the scan was when they came. */
  killsIn: Record<Phase, number>
  files: number
  findings: number
  contents: number
  /** Findings that an agent told again after it was killed; the center has each once. */
  toldAgain: number
  wallSeconds: number
}
/** What a scan says in the end. */
type Verdicts = {
  outcome: Json
  skipped: Json
  /** By path below the root of the tree. */
  findings: Record<string, Json>
}

const sleep = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs))
const sorted = <T>(entries: [string, T][]): Record<string, T> =>
  Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))

async function setPolicy(site: Site, machineId: string, action: 'report' | 'quarantine'): Promise<void> {
  const { policy } = await site.get<{ policy: Json }>('/policies/malware')
  const { status } = await site.api('PUT', '/policies/malware', { ...policy, action, maxFileBytes })
  deepStrictEqual(status, 200)
  await waitFor('the policy to arrive', async () => {
    const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
    return machine.desiredVersion === machine.appliedVersion ? true : undefined
  })
}

/** A center, a scanner and an agent; bad files stay where they are, so that every scan finds the same. */
async function openSite(): Promise<{ site: Site; machineId: string }> {
  const site = await createSite()
  try {
    await site.startScanner()
    const machineId = await site.startAgent()
    await setPolicy(site, machineId, 'report')
    return { site, machineId }
  } catch (error) {
    await site.close()
    throw error
  }
}

async function verdictsOf(site: Site, scan: Json, tree: string): Promise<Verdicts> {
  const { filesSeen, filesJudged, directories, findings, skipped } = scan.progress as Json
  const found = await site.list(`/findings?scanId=${String(scan.id)}`)
  const paths = found.map(({ path }) => path)
  deepStrictEqual(new Set(paths).size, paths.length, 'a finding is there twice')
  return {
    outcome: {
      state: scan.state,
      filesSeen,
      filesJudged,
      directories,
      findings,
      listedFindings: scan.findings,
    },
    skipped: sorted(Object.entries(skipped as Json)),
    findings: sorted(
      found.map(({ path, sha256, sizeBytes, severity, title, category, state, holdReason, errorCode }) => [
        String(path).slice(tree.length + 1),
        { sha256, sizeBytes, severity, title, category, state, holdReason, errorCode },
      ]),
    ),
  }
}

/** What the data centre thinks of each content. */
const contentsOf = async (site: Site) =>
  sorted((await site.list('/hashes')).map(({ sha256, verdict }) => [String(sha256), verdict]))

/** Makes every content unknown, so that the next scan has all its work. */
async function forgetVerdicts(site: Site): Promise<void> {
  const { body } = await site.api('POST', '/cache/flush', { scope: { kind: 'all' } })
  const { number } = (body as { flush: { number: number } }).flush
  // Its own word comes sooner than its next heartbeat.
  const path = join(site.homeOf('scanner'), 'scanner/verdicts/flush.json')
  await waitFor('the scanner to forget', async () => {
    const done = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { number: number }).number : 0
    return done >= number ? true : undefined
  })
}

/** Kills one of those that run, at random, and brings it back by and by. */
function createKiller(site: Site, seed: number) {
  const random = createRandom(seed)
  const where = createPhases(site)
  const killsOf: Record<Victim, number> = { agent: 0, scanner: 0, center: 0 }
  const killsIn = Object.fromEntries(phases.map((phase) => [phase, 0])) as Record<Phase, number>
  const away = new Map<Victim, Promise<void>>()
  const kill = async (victim: Victim) =>
    victim === 'center' ? await site.killCenter('SIGKILL') : await site.running.get(victim)?.kill('SIGKILL')
  const restart = async (victim: Victim) => {
    if (victim === 'center') await site.restartCenter()
    else if (victim === 'scanner') await site.restartScanner()
    else await site.start('agent', 'agent')
  }
  const bringBack = (victim: Victim) => {
    const back = sleep(random.below(awayMs))
      .then(async () => await restart(victim))
      .then(() => void away.delete(victim))
    // Whoever waits for everybody hears of a failure.
    back.catch(() => undefined)
    away.set(victim, back)
  }
  function choose(): Victim | undefined {
    const [first, ...others] = victims.filter((victim) => !away.has(victim))
    return first && random.pick([first, ...others])
  }
  return {
    killsOf,
    killsIn,
    someKills: () => 1 + random.below(killsInOneScan),
    /** Waits for a moment in a scan, and kills one or more, at most `most`. Answers how many. */
    strike: async (scan: StruckScan, most: number): Promise<number> => {
      const kind = random.below(100)
      const isAimed = kind < strikes.aimed
      const isBlind = !isAimed && kind < strikes.aimed + strikes.blind
      if (!isBlind)
        await where.underWay(scan, () => scan.hasEnded() || away.size === victims.length, patience.underWayMs)
      if (isAimed) {
        await where.manifestTouched(patience.aimMs)
        await sleep(random.below(aimSpreadMs))
      } else await sleep(random.below(untilKillMs))
      const isUploading = where.isUploading()
      if (scan.hasEnded()) return 0
      let killed = 0
      do {
        const victim = isAimed && killed === 0 && !away.has('agent') ? 'agent' : choose()
        if (victim === undefined) break
        const isAway = away.has('agent')
        await kill(victim)
        const phase = isAway ? 'away' : where.phaseOf(scan)
        killsIn[phase === 'judging' && isUploading ? 'uploading' : phase] += 1
        killsOf[victim] += 1
        killed += 1
        if (victim === 'agent') scan.sinceMs = Date.now()
        bringBack(victim)
      } while (killed < most && random.below(100) < oneMore)
      return killed
    },
    everybodyBack: async () => void (await Promise.all(away.values())),
  }
}

/** Each event came once, each scan ended once, and each alarm counts its findings once. Answers how many were told again. */
async function checkHistory(site: Site, machineId: string, scans: number): Promise<number> {
  const events = await site.list(`/machines/${machineId}/events`)
  deepStrictEqual(new Set(events.map(({ id }) => id)).size, events.length, 'an event is there twice')
  deepStrictEqual(
    events.filter(({ type }) => type === 'spool.gap'),
    [],
    'an event is lost',
  )
  const ended = events.filter(({ type }) => type === 'scan.ended')
  const endedScans = new Set(ended.map(({ body }) => (body as Json).scanId))
  deepStrictEqual([ended.length, endedScans.size], [scans, scans], 'a scan did not end exactly once')
  const findings = await site.list(`/findings?machineId=${machineId}`)
  const counts = new Map<unknown, number>()
  for (const { sha256 } of findings) counts.set(sha256, (counts.get(sha256) ?? 0) + 1)
  const alarms = await site.list(`/alarms?kind=malware.found`)
  deepStrictEqual(
    sorted(alarms.map(({ params, count }) => [String((params as Json).sha256), count])),
    sorted([...counts].map(([sha256, count]) => [String(sha256), count])),
    'an alarm does not count its findings',
  )
  const told = events.filter(({ type }) => type === 'finding.detected').length
  const { body } = await site.api('POST', '/audit/verify')
  deepStrictEqual((body as Json).isIntact, true, 'the audit chain is broken')
  return told - findings.length
}

/** One scan that nobody disturbs. */
async function scanInPeace(files: number, seed: number) {
  const { site, machineId } = await openSite()
  try {
    const tree = join(site.root, 'tree')
    growTree(tree, files, seed)
    const scan = await site.endOf(await site.startScan(machineId, [tree]), patienceMs)
    const verdicts = await verdictsOf(site, scan, tree)
    deepStrictEqual(verdicts.outcome.state, 'completed')
    const badContents = new Set(Object.values(verdicts.findings).map(({ sha256 }) => sha256)).size
    const contents = await waitFor('the center to learn every verdict', async () => {
      const all = await contentsOf(site)
      await sleep(1_000)
      const isSettled = Object.keys(all).length === Object.keys(await contentsOf(site)).length
      const bad = Object.values(all).filter((verdict) => verdict === 'malicious').length
      return isSettled && bad === badContents ? all : undefined
    })
    return { verdicts, contents }
  } finally {
    await site.close()
  }
}

/** Every bad file is in the vault, and the center knows it; nothing of it is left in its folder. */
async function checkQuarantine(site: Site, expected: Verdicts, actual: Verdicts, tree: string) {
  const taken = Object.entries(expected.findings).map(
    ([path, finding]) => [path, { ...finding, state: 'quarantined' }] as [string, Json],
  )
  deepStrictEqual(actual.findings, sorted(taken), 'a disturbed scan says something else')
  deepStrictEqual(actual.outcome.state, 'completed')
  const left = readdirSync(tree, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /(^|\/)(bad-|\.ringwall-)/.test(name),
  )
  deepStrictEqual(left, [], 'a bad file is still there')
  const stored = (await site.list('/quarantine?state=stored'))
    .map(({ path }) => String(path))
    .filter((path) => path.startsWith(`${tree}/`))
    .map((path) => path.slice(tree.length + 1))
  deepStrictEqual(stored.sort(), Object.keys(expected.findings).sort(), 'the vault has something else')
}

/** Scans a tree undisturbed, and again and again while `kills` programs are killed. Throws where the two differ. */
export async function runChaos({ kills, files, seed, say }: ChaosOptions): Promise<ChaosResult> {
  const startedAtMs = performance.now()
  const { verdicts: expected, contents } = await scanInPeace(files, seed)
  say?.(`undisturbed: ${JSON.stringify(expected.outcome)}, skipped ${JSON.stringify(expected.skipped)}`)
  const { site, machineId } = await openSite()
  const killer = createKiller(site, seed)
  let scans = 0
  let killed = 0
  let tree = join(site.root, 'tree')

  async function scanDisturbed(killsWanted: number): Promise<Verdicts> {
    const sinceMs = Date.now()
    const scanId = await site.startScan(machineId, [tree])
    let hasEnded = false
    const end = site.endOf(scanId, patienceMs).finally(() => {
      hasEnded = true
    })
    end.catch(() => undefined)
    const until = Math.min(killsWanted, killed + killer.someKills())
    const scan = { id: scanId, sinceMs, hasEnded: () => hasEnded }
    while (killed < until && !hasEnded) killed += await killer.strike(scan, until - killed)
    await killer.everybodyBack()
    const verdicts = await verdictsOf(site, await end, tree)
    scans += 1
    say?.(`scan ${scans} ended after ${killed} of ${kills} kills: ${JSON.stringify(killer.killsIn)}`)
    return verdicts
  }

  try {
    growTree(tree, files, seed)
    const killsWhileReporting = Math.ceil((kills * (100 - killsInQuarantine)) / 100)
    while (killed < killsWhileReporting) {
      if (scans > 0) await forgetVerdicts(site)
      // Another folder: the manifest vouches for none of its files.
      const next = join(site.root, `tree-${scans}`)
      renameSync(tree, next)
      tree = next
      const verdicts = await scanDisturbed(killsWhileReporting)
      deepStrictEqual(verdicts, expected, 'a disturbed scan says something else')
    }
    await waitFor('the center to learn every verdict', async () =>
      Object.keys(await contentsOf(site)).length === Object.keys(contents).length ? true : undefined,
    ).catch(() => undefined)
    deepStrictEqual(await contentsOf(site), contents, 'a content has another verdict')

    await setPolicy(site, machineId, 'quarantine')
    while (killed < kills) {
      rmSync(tree, { recursive: true })
      tree = join(site.root, `tree-${scans}`)
      growTree(tree, files, seed)
      await forgetVerdicts(site)
      await checkQuarantine(site, expected, await scanDisturbed(kills), tree)
    }
    return {
      scans,
      killsOf: killer.killsOf,
      killsIn: killer.killsIn,
      files: Number(expected.outcome.filesSeen),
      findings: Object.keys(expected.findings).length,
      contents: Object.keys(contents).length,
      toldAgain: await checkHistory(site, machineId, scans),
      wallSeconds: (performance.now() - startedAtMs) / 1000,
    }
  } finally {
    await killer.everybodyBack().catch(() => undefined)
    await site.close()
  }
}
