/**
 * Kills agent, scanner and center at random moments of scans, and compares what the scans say with one that nobody
 * disturbed. ./ringwall bench chaos; RINGWALL_BENCH_KILLS says how often, RINGWALL_BENCH_SEED takes the course of another run: each prints its own.
 */
import { randomInt } from 'node:crypto'
import { runChaos } from '../tests/e2e/chaos.ts'
import { say } from './figures.ts'
import { writeSection } from './section.ts'

const kills = Number(process.env.RINGWALL_BENCH_KILLS ?? 200)
const seed = Number(process.env.RINGWALL_BENCH_SEED ?? randomInt(1_000_000))
say(`${kills} kills, RINGWALL_BENCH_SEED=${seed}`)

const result = await runChaos({ kills, files: 4_000, seed, say })
const { agent, scanner, center } = result.killsOf
const { starting, judging, uploading, committing, ending, away } = result.killsIn
writeSection(
  'chaos',
  'Kills during scans',
  [],
  [
    `A tree of ${result.files} files, ${result.findings} of them bad, is scanned while one of agent, scanner and center is killed (SIGKILL) at random moments and started again, several of them at once now and then (seed ${seed}). Of the moments, 15 % come blindly, 60 % at random once the scan is under way, and 25 % right after a change of the agent’s manifests, as a commit takes a few milliseconds only. Before each scan all verdicts are forgotten and the folder is renamed, so that each has its whole work. Each scan is compared with one on a site of its own that nobody disturbed. During three quarters of the kills bad files are only reported; during the others they are taken into quarantine.\n`,
    '| measure | value |',
    '| --- | ---: |',
    `| kills of the agent | ${agent} |`,
    `| kills of the scanner | ${scanner} |`,
    `| kills of the center | ${center} |`,
    `| … while a scan was ordered or planned | ${starting} |`,
    `| … while files were walked and hashed | ${judging} |`,
    `| … while contents were sent and judged | ${uploading} |`,
    `| … while a manifest was committed, or just after | ${committing} |`,
    `| … while the end was on its way to the center | ${ending} |`,
    `| … while the agent was away from the kill before | ${away} |`,
    `| scans, all completed | ${result.scans} |`,
    '| scans with another finding, state, count or reason for a skipped file | 0 |',
    `| verdicts of ${result.contents} contents that differ | 0 |`,
    '| findings, events or ends of scans that are there twice | 0 |',
    '| events that were lost | 0 |',
    '| alarms that count a finding twice | 0 |',
    `| findings told again by a restarted agent, and recognised | ${result.toldAgain} |`,
    '| bad files left in their folder or missing in the vault, with quarantine | 0 |',
    '| audit chain | intact |',
    `| seconds, both sites | ${result.wallSeconds.toFixed(0)} |`,
    '',
    'A difference ends the run without a result.',
  ].join('\n'),
)
say('wrote bench/results/chaos.md')
