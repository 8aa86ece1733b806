import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { AppError } from '@ringwall/contracts'

const sources = join(import.meta.dirname, '../native')
const walkerSources = join(import.meta.dirname, '../c')
const addonSource = join(import.meta.dirname, '../addon/process.c')
const strict = ['-std=c17', '-Wall', '-Wextra', '-Werror']
const hardened = ['-O2', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-Wl,-z,relro,-z,now']
const asProgram = ['-fPIE', '-static-pie']
const asLibrary = ['-fPIC', '-shared', '-fvisibility=hidden']
const debuggable = ['-O1', '-g', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all']
const sanitized = [...debuggable, '-fsanitize=address,undefined']

const partsIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(folder, name))

/** Runs the C compiler of this machine; `output` appears when it is whole. */
function compile(output: string, args: string[]): void {
  mkdirSync(dirname(output), { recursive: true })
  const temporary = `${output}.${randomBytes(4).toString('hex')}`
  try {
    execFileSync('gcc', [...strict, ...args, '-o', temporary], { stdio: ['ignore', 'pipe', 'pipe'] })
    renameSync(temporary, output)
  } catch (cause) {
    rmSync(temporary, { force: true })
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : ''
    const reason = said === '' && cause instanceof Error ? cause.message : said.slice(0, 2000)
    throw new AppError('command_failed', { command: 'gcc', reason }, { cause })
  }
}

/**
 * Compiles the helper with the C compiler of this machine, or with the sanitizers of gcc for tests. `main` names the
 * file with the program, main.c or a test's. Throws command_failed with what the compiler says.
 */
export function compileHelper(output: string, options: { isSanitized?: boolean; main?: string } = {}): void {
  const { isSanitized = false, main = join(sources, 'main.c') } = options
  const parts = partsIn(sources).filter((path) => basename(path) !== 'main.c')
  const flags = isSanitized ? sanitized : [...hardened, ...asProgram]
  compile(output, [...flags, `-I${sources}`, main, ...parts])
}

/**
 * Compiles the walker of scans, or for tests with the sanitizers of gcc for memory or for threads. Throws
 * command_failed like compileHelper.
 */
export function compileWalker(output: string, sanitizer?: 'memory' | 'threads'): void {
  const flags = {
    none: [...hardened, ...asProgram],
    memory: sanitized,
    threads: [...debuggable, '-fsanitize=thread'],
  }[sanitizer ?? 'none']
  compile(output, [...flags, '-pthread', ...partsIn(walkerSources)])
}

/** Compiles the add-on that gives memory back and yields the disk; needs no headers of Node. Throws command_failed like compileHelper. */
export function compileProcessAddon(output: string): void {
  compile(output, [...hardened, ...asLibrary, addonSource])
}
