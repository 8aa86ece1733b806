/** Everything that must hold before a change lands: build, checks, unit and architecture tests, end-to-end tests. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)

const steps: { name: string; command: string; args: string[] }[] = [
  { name: 'build', command: process.execPath, args: ['scripts/build.ts', '--if-changed'] },
  { name: 'check', command: process.execPath, args: ['scripts/check.ts'] },
  { name: 'unit', command: bin('vitest'), args: ['run'] },
  { name: 'peers', command: bin('vitest'), args: ['run', '--config', 'tests/peers/vitest.config.ts'] },
  { name: 'e2e', command: bin('vitest'), args: ['run', '--config', 'tests/e2e/vitest.config.ts'] },
]

for (const { name, command, args } of steps) {
  const startedAtMs = Date.now()
  process.stdout.write(`\n== ${name}\n`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  process.stdout.write(
    `== ${name}: ${status === 0 ? 'passed' : 'failed'} after ${Math.round((Date.now() - startedAtMs) / 1000)} s\n`,
  )
  if (status !== 0) process.exit(1)
}
