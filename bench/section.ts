/** What every benchmark shares: its section of RESULTS.md, with the machine and the command that made it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'results')
/** Other work on the machine tells on every time that is measured. */
const loadBefore = loadavg()[0]?.toFixed(1)

/** Writes the section of one benchmark and puts all sections together again. `name` is the file's name below bench/. */
export function writeSection(name: string, title: string, peers: string[], body: string): void {
  const machine = [
    `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}`,
    `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    `Node ${process.version}`,
    `load ${loadBefore} before it`,
    ...peers,
  ]
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, `${name}.md`),
    `# ${title}\n\n\`./ringwall bench ${name}\` on ${new Date().toISOString().slice(0, 10)}: ${machine.join(', ')}. All programs ran on this one machine.\n\n${body.trim()}\n`,
  )
  const sections = readdirSync(folder)
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').trim())
  writeFileSync(join(import.meta.dirname, 'RESULTS.md'), `${sections.join('\n\n')}\n`)
}
