/** Types, lint and format, import rules, dead code, and whether the committed generated files are up to date. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)

const checks: { name: string; command: string; args: string[] }[] = [
  { name: 'types', command: bin('tsc'), args: ['-b'] },
  { name: 'lint', command: bin('biome'), args: ['check', '--error-on-warnings', '.'] },
  { name: 'imports', command: bin('vitest'), args: ['run', 'tests/arch'] },
  { name: 'dead code', command: bin('knip'), args: ['--no-progress'] },
  { name: 'generated files', command: process.execPath, args: ['scripts/generate.ts', '--check'] },
]

let failed = false
for (const { name, command, args } of checks) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  process.stdout.write(`${status === 0 ? 'ok  ' : 'FAIL'} ${name}\n`)
  failed ||= status !== 0
}
process.exit(failed ? 1 : 0)
