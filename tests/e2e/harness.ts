/** Real processes for end-to-end tests: a center with its own PostgreSQL, scanners and agents, each in its own folder. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { nodeEnv, nodeFlags, type ProgramName } from '../../apps/cli/src/programs.ts'

const dist = join(import.meta.dirname, '../../dist')
const readyMs = 90_000

export const eicar = Buffer.from(
  'WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=',
  'base64',
)

/** Whether this machine lets us mount: a small file system is how a disk gets full here. */
export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-mount-'))
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder], { stdio: 'ignore' }).status === 0
  if (isMounted) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return isMounted
}

export type Program = {
  ready: Record<string, unknown>
  pid: number
  kill: (signal: NodeJS.Signals) => Promise<void>
  log: () => string
}
type Answer = { status: number; body: unknown }
export type Json = Record<string, unknown>

const sleep = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs))

/** Asks again and again until there is an answer that is not undefined. */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined>,
  timeoutMs = 60_000,
): Promise<T> {
  const untilMs = Date.now() + timeoutMs
  for (;;) {
    const found = await look().catch(() => undefined)
    if (found !== undefined) return found
    if (Date.now() > untilMs) throw new Error(`waited in vain for ${what}`)
    await sleep(100)
  }
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Runs a program to its end. */
export async function runProgram(
  name: string,
  args: string[],
  home: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(dist, `${name}.js`), ...args], {
    env: { ...process.env, RINGWALL_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  return await new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
}

/** Starts a program as it is started on a machine, with its flags, and waits for its ready line. */
export async function startProgram(
  name: ProgramName,
  home: string,
  env: Record<string, string> = {},
): Promise<Program> {
  const command = [...nodeFlags[name], join(dist, `${name}.js`), 'run']
  const child: ChildProcess = spawn(process.execPath, command, {
    // An agent under test watches what its test says, never the machine that it shares with others.
    env: { ...process.env, ...nodeEnv[name], RINGWALL_HOME: home, RINGWALL_AGENT_WATCH: 'none', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr?.on('data', (chunk) => (log += String(chunk)))
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  const ready = await new Promise<Json>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} is not ready: ${log}`)), readyMs)
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on(
        'line',
        (line) => line.startsWith('{') && resolve(JSON.parse(line) as Json),
      )
    child.on('exit', (code) => reject(new Error(`${name} ended with ${code}: ${log}`)))
    void ended.then(() => clearTimeout(timer))
  })
  return {
    ready,
    pid: child.pid ?? 0,
    log: () => log,
    kill: async (signal) => {
      child.kill(signal)
      await ended
    },
  }
}

/** For `createSite`: a copy of the content that tests may change, below the root of the site. */
export const ownContent = {
  prepare: (root: string): void =>
    cpSync(join(import.meta.dirname, '../../content'), join(root, 'content'), { recursive: true }),
  env: (root: string): Record<string, string> => ({ RINGWALL_CONTENT_DIR: join(root, 'content') }),
}

/** A center with everything it needs, in a folder of its own. */
export async function createSite(
  options: { prepare?: (root: string) => void; env?: (root: string) => Record<string, string> } = {},
) {
  const root = mkdtempSync(join(tmpdir(), 'ringwall-e2e-'))
  // The account of the database passes through.
  chmodSync(root, 0o711)
  options.prepare?.(root)
  const home = join(root, 'center')
  const ports = {
    RINGWALL_PORT: String(await freePort()),
    RINGWALL_GATEWAY_PORT: String(await freePort()),
    RINGWALL_HOST_NAMES: 'localhost',
    RINGWALL_BIND: '127.0.0.1',
    ...options.env?.(root),
  }
  const running = new Map<string, Program>()
  let center = await startProgram('center', home, ports)
  const first = center.ready

  function api(method: string, path: string, body?: unknown): Promise<Answer> {
    const profile = JSON.parse(readFileSync(join(home, 'center/local-profile.json'), 'utf8')) as {
      url: string
      caPem: string
      token: string
    }
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const call = request(`${profile.url}/api/v1${path}`, {
        method,
        ca: profile.caPem,
        // A connection of its own: one that was idle may be closed at the moment of its use.
        agent: false,
        headers: {
          authorization: `Bearer ${profile.token}`,
          ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        },
      })
      call.on('error', reject)
      call.on('response', (response) => {
        let answer = ''
        response.on('data', (chunk) => (answer += String(chunk)))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: answer === '' ? undefined : JSON.parse(answer) }),
        )
      })
      call.end(text)
    })
  }
  /** The body of an answer that must be a good one. */
  async function get<T = Json>(path: string): Promise<T> {
    const { status, body } = await api('GET', path)
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`)
    return body as T
  }
  /** Everything in a list. */
  async function list(path: string): Promise<Json[]> {
    const items: Json[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { items: Json[]; nextCursor: string | null } = await get(
        `${path}${path.includes('?') ? '&' : '?'}limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`,
      )
      items.push(...page.items)
      cursor = page.nextCursor
    }
    return items
  }
  async function token(role: 'agent' | 'scanner'): Promise<string> {
    const { body } = await api('POST', '/enrol-tokens', {
      name: `test ${role}`,
      role,
      maxUses: 1,
      expiresInHours: 1,
    })
    return (body as { token: string }).token
  }
  const enrolArgs = (text: string, caHash = String(first.caHash)) => [
    'enroll',
    '--center',
    `localhost:${ports.RINGWALL_GATEWAY_PORT}`,
    '--token',
    text,
    '--ca-hash',
    caHash,
  ]

  async function start(
    role: 'agent' | 'scanner',
    name: string,
    env: Record<string, string> = {},
  ): Promise<Program> {
    const program = await startProgram(role, join(root, name), env)
    running.set(name, program)
    return program
  }
  const scannerPort = String(await freePort())
  const scannerEnv = {
    RINGWALL_SCANNER_PORT: scannerPort,
    RINGWALL_SCANNER_BIND: '127.0.0.1',
    RINGWALL_SCANNER_ADDRESSES: `127.0.0.1:${scannerPort}`,
    RINGWALL_SCANNER_WORKERS: '1',
  }

  return {
    root,
    home,
    first,
    ports,
    scannerPort: Number(scannerPort),
    api,
    get,
    list,
    token,
    enrolArgs,
    running,
    homeOf: (name: string) => join(root, name),
    start,
    /** Enrols and starts a scanner; any but the first has a port of its own. */
    startScanner: async (env: Record<string, string> = {}, name = 'scanner') => {
      const port = name === 'scanner' ? scannerPort : String(await freePort())
      const all = {
        ...scannerEnv,
        RINGWALL_SCANNER_PORT: port,
        RINGWALL_SCANNER_ADDRESSES: `127.0.0.1:${port}`,
        ...env,
      }
      const enrolled = await runProgram('scanner', enrolArgs(await token('scanner')), join(root, name), all)
      if (enrolled.code !== 0) throw new Error(enrolled.stderr)
      return await start('scanner', name, all)
    },
    restartScanner: async (env: Record<string, string> = {}) =>
      await start('scanner', 'scanner', { ...scannerEnv, ...env }),
    /** Enrols and starts an agent; answers the id of its machine. */
    startAgent: async (name = 'agent', env: Record<string, string> = {}): Promise<string> => {
      const enrolled = await runProgram('agent', enrolArgs(await token('agent')), join(root, name), env)
      if (enrolled.code !== 0) throw new Error(enrolled.stderr)
      const { id } = JSON.parse(enrolled.stdout) as { id: string }
      await start('agent', name, env)
      await waitFor('the agent to be online', async () =>
        (await get<{ machine: Json }>(`/machines/${id}`)).machine.linkState === 'online' ? true : undefined,
      )
      return id
    },
    copyHome: (from: string, to: string) => cpSync(join(root, from), join(root, to), { recursive: true }),
    killCenter: async (signal: NodeJS.Signals) => await center.kill(signal),
    restartCenter: async () => {
      center = await startProgram('center', home, ports)
    },
    /** Starts a scan and waits for its end. */
    startScan: async (machineId: string, paths: string[]): Promise<string> => {
      const { status, body } = await api('POST', '/scans', { machineIds: [machineId], paths })
      if (status !== 200) throw new Error(JSON.stringify(body))
      return (body as { scan: { id: string } }).scan.id
    },
    endOf: async (scanId: string, timeoutMs = 120_000): Promise<Json> =>
      await waitFor(
        'the scan to end',
        async () => {
          const { scan } = await get<{ scan: Json }>(`/scans/${scanId}`)
          return scan.endedAt === null ? undefined : scan
        },
        timeoutMs,
      ),
    close: async () => {
      for (const program of running.values()) await program.kill('SIGKILL')
      await center.kill('SIGTERM').catch(() => undefined)
      rmSync(root, { recursive: true, force: true })
    },
  }
}
export type Site = Awaited<ReturnType<typeof createSite>>
