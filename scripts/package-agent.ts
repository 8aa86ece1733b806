/** dist/ringwall-agent.tar.gz: the agent with the Node it runs on, its unit and a launcher. Run it after the build. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')
const folder = join(dist, 'ringwall-agent')

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
for (const name of ['agent.js', 'agent-scan-worker.js']) copyFileSync(join(dist, name), join(folder, name))
// Without a C compiler there are none; the agent says so.
for (const name of ['ringwall-guard', 'ringwall-walk', 'ringwall-process.node'])
  if (existsSync(join(dist, name))) copyFileSync(join(dist, name), join(folder, name))
for (const name of ['ringwall', 'ringwall-agent.service', 'README'])
  copyFileSync(join(root, 'deploy', name), join(folder, name))
copyFileSync(process.execPath, join(folder, 'node'))
for (const name of ['node', 'ringwall']) chmodSync(join(folder, name), 0o755)
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
const archive = join(dist, 'ringwall-agent.tar.gz')
execFileSync('tar', ['-C', dist, '--owner=0', '--group=0', '-czf', archive, 'ringwall-agent'])
process.stdout.write(`${archive}\n`)
