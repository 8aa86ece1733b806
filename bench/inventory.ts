/** Measures how a center takes in a platform of 10,000 machines: ./ringwall bench inventory. */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { nodeFlags } from '../apps/cli/src/programs.ts'
import { writeSection } from './section.ts'

type Timed = { ms: number; sizeBytes: number }
type Figures = {
  machines: number
  hosts: number
  agents: number
  migrations: number
  syncMs: number
  joinMs: number
  beforeBytes: number
  peakBytes: number
  migrationMs: { median: number; worst: number }
  topology: Timed
  page: Timed
  search: Timed
}

const root = join(import.meta.dirname, '..')
const program = join(root, 'dist/bench-inventory.js')
// As the center itself is built: reading TypeScript takes memory of its own.
await build({
  absWorkingDir: root,
  entryPoints: ['apps/center/src/slices/inventory/testing/bench.ts'],
  outfile: program,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  logLevel: 'warning',
  external: ['@fastify/swagger-ui', '@fastify/swagger', '@litko/yara-x', 'pg-native', 'ssh2'],
  banner: {
    js: "import { createRequire as ringwallCreateRequire } from 'node:module'; const require = ringwallCreateRequire(import.meta.url);",
  },
})
const output = execFileSync(process.execPath, [...nodeFlags.center, program], {
  stdio: ['ignore', 'pipe', 'inherit'],
}).toString()
rmSync(program)
const figures = JSON.parse(output) as Figures
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
const milliseconds = (ms: number) => `${ms.toFixed(0)} ms`
const mib = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(0)} MiB`

writeSection(
  'inventory',
  'Inventory of a large platform',
  ['one synthetic platform inside the center, no peer'],
  [
    `${figures.machines} machines on ${figures.hosts} hosts, ${figures.agents} of them with an agent; PostgreSQL with fsync on.`,
    '',
    '| what | measured |',
    '| --- | ---: |',
    `| first complete list, from the start of the center to the last row | ${seconds(figures.syncMs)} |`,
    `| the same, until every agent is joined to its machine | ${seconds(figures.joinMs)} |`,
    `| most memory of the center (RSS), connector and its records included | ${mib(figures.peakBytes)} |`,
    `| the same before the list | ${mib(figures.beforeBytes)} |`,
    `| live migration, from the record of the connector to the committed placement, median of ${figures.migrations} | ${milliseconds(figures.migrationMs.median)} |`,
    `| the same, worst | ${milliseconds(figures.migrationMs.worst)} |`,
    `| topology, ${(figures.topology.sizeBytes / 1024).toFixed(0)} KiB | ${milliseconds(figures.topology.ms)} |`,
    `| a page of 50 assets | ${milliseconds(figures.page.ms)} |`,
    `| a search over all of them | ${milliseconds(figures.search.ms)} |`,
  ].join('\n'),
)
