/**
 * Builds what runs: one esbuild bundle per program and the console by Vite, into dist/. With --if-changed it
 * does only the parts whose sources changed since the last build.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAppError } from '@ringwall/contracts'
import { compileHelper, compileProcessAddon, compileWalker } from '@ringwall/kernel'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')
const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version

/** Bundles by name; each is built from the given folders, whose state decides whether it is stale. */
const programs: { name: string; entry: string; sources: string[] }[] = [
  { name: 'center', entry: 'apps/center/src/main.ts', sources: ['apps/center/src', 'packages', 'content'] },
  { name: 'scanner', entry: 'apps/scanner/src/main.ts', sources: ['apps/scanner/src', 'packages'] },
  { name: 'agent', entry: 'apps/agent/src/main.ts', sources: ['apps/agent/src', 'packages'] },
  {
    name: 'agent-scan-worker',
    entry: 'apps/agent/src/slices/malware/scan-worker.ts',
    sources: ['apps/agent/src', 'packages'],
  },
  { name: 'cli', entry: 'apps/cli/src/main.ts', sources: ['apps/cli/src', 'packages'] },
]

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'testdata' || entry.name.includes('.test.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else if (entry.isFile()) yield path
  }
}

/** Names, sizes and times of the sources: cheap enough for every start, exact enough for a working copy. */
function fingerprint(sources: string[]): string {
  const hash = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .update(readFileSync(join(root, 'package-lock.json')))
  for (const source of sources) {
    for (const path of [...filesBelow(join(root, source))].sort()) {
      const { size, mtimeMs } = statSync(path)
      hash.update(`${path}\0${size}\0${mtimeMs}\n`)
    }
  }
  return hash.digest('hex')
}

function isFresh(name: string, sources: string[]): boolean {
  const stamp = join(dist, `.${name}.stamp`)
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint(sources)
}

function markFresh(name: string, sources: string[]): void {
  writeFileSync(join(dist, `.${name}.stamp`), fingerprint(sources))
}

async function buildProgram(name: string, entry: string): Promise<void> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: join(dist, `${name}.js`),
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
    // Native, or looks its own files up at run time.
    external: ['@litko/yara-x', '@fastify/swagger-ui', '@fastify/swagger', 'pg-native', 'esbuild', 'ssh2'],
    define: {
      'process.env.RINGWALL_VERSION': JSON.stringify(version),
      'process.env.WS_NO_BUFFER_UTIL': '"1"',
      'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    },
    banner: {
      js: "import { createRequire as ringwallCreateRequire } from 'node:module'; const require = ringwallCreateRequire(import.meta.url);",
    },
  })
  writeFileSync(join(dist, `${name}.meta.json`), JSON.stringify(result.metafile))
}

function buildConsole(): void {
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'],
    {
      cwd: join(root, 'apps/console'),
      stdio: ['ignore', 2, 2],
    },
  )
  if (status !== 0) throw new Error('The console did not build.')
}

/** The agent works without what is native and says so; a mistake in the C is still a failed build. */
function buildNative(compile: () => void, without: string): boolean {
  try {
    compile()
    return true
  } catch (error) {
    if (!isAppError(error, 'command_failed') || !String(error.params.reason).includes('ENOENT')) throw error
    process.stderr.write(`ringwall: without gcc ${without} (apt-get install gcc libc6-dev)\n`)
    return false
  }
}
const buildHelper = () =>
  buildNative(() => compileHelper(join(dist, 'ringwall-guard')), 'the agent has no real-time protection')
const buildProcessAddon = () =>
  buildNative(
    () => compileProcessAddon(join(dist, 'ringwall-process.node')),
    'the agent keeps code in memory that it does not use',
  )

const buildWalker = () =>
  buildNative(() => compileWalker(join(dist, 'ringwall-walk')), 'scans walk in Node, which is slower')

async function main(): Promise<void> {
  const ifChanged = process.argv.includes('--if-changed')
  mkdirSync(dist, { recursive: true })
  for (const { name, entry, sources } of programs) {
    if (ifChanged && isFresh(name, sources)) continue
    process.stderr.write(`ringwall: building ${name}\n`)
    await buildProgram(name, entry)
    markFresh(name, sources)
  }
  const helpers = [
    { name: 'ringwall-guard', sources: ['packages/kernel/native'], build: buildHelper },
    { name: 'ringwall-process.node', sources: ['packages/kernel/addon'], build: buildProcessAddon },
    { name: 'ringwall-walk', sources: ['packages/kernel/c'], build: buildWalker },
  ]
  for (const helper of process.platform === 'linux' ? helpers : []) {
    if (ifChanged && isFresh(helper.name, helper.sources)) continue
    process.stderr.write(`ringwall: building ${helper.name}\n`)
    if (helper.build()) markFresh(helper.name, helper.sources)
  }
  const consoleSources = ['apps/console', 'packages/contracts/src']
  if (ifChanged && isFresh('console', consoleSources)) return
  process.stderr.write('ringwall: building console\n')
  buildConsole()
  markFresh('console', consoleSources)
}

await main()
