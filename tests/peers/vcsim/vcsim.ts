import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '../../..')
const folder = join(root, '.build/peers')
const source = join(import.meta.dirname, 'main.go')
/** Where Debian's golang-*-dev packages put their sources. */
const debianGoPath = '/usr/share/gocode'

/** Why the simulator cannot be built on this machine; undefined where it can. */
export function vcsimMissing(): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return 'there is no Go (golang-go)'
  if (!existsSync(join(debianGoPath, 'src/github.com/vmware/govmomi/simulator')))
    return 'there is no govmomi (golang-github-vmware-govmomi-dev)'
  return undefined
}

/** The simulator's program, built again when its source changed. */
function buildVcsim(): string {
  const program = join(folder, 'vcsim')
  const stamp = join(folder, 'vcsim.stamp')
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex')
  if (existsSync(program) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return program
  mkdirSync(folder, { recursive: true })
  const built = `${program}.${process.pid}`
  const { status, stderr } = spawnSync('go', ['build', '-o', built, source], {
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH: debianGoPath,
      GOCACHE: join(folder, 'go-cache'),
      GOFLAGS: '',
    },
  })
  if (status !== 0) throw new Error(`go build failed: ${stderr}`)
  renameSync(built, program)
  writeFileSync(stamp, hash)
  return program
}

export type Vcsim = {
  address: string
  username: string
  password: string
  /** One SOAP call of an administrator on a session of its own; answers with the XML. */
  call: (method: string, on: { type: string; id: string }, body?: string) => Promise<string>
  stop: () => Promise<void>
}

export async function startVcsim(options: {
  hosts?: number
  vms?: number
  clusters?: number
  esx?: boolean
}): Promise<Vcsim> {
  const { hosts = 4, vms = 200, clusters = 1, esx = false } = options
  const child = spawn(
    buildVcsim(),
    [`-hosts=${hosts}`, `-vms=${vms}`, `-clusters=${clusters}`, `-esx=${esx}`],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`vcsim ended with ${code}`)))
  })
  const [address = '', username = '', password = ''] = line.split(' ')
  const call = createAdministrator(address, username, password)
  return {
    address,
    username,
    password,
    call,
    stop: async () => {
      child.stdin.end()
      await exited
    },
  }
}

function createAdministrator(address: string, username: string, password: string): Vcsim['call'] {
  let cookie = ''
  const send = (xml: string) =>
    new Promise<{ text: string; cookie: string | undefined }>((resolve, reject) => {
      const call = request(`${address}/sdk`, {
        method: 'POST',
        rejectUnauthorized: false,
        headers: { 'content-type': 'text/xml', cookie },
      })
      call.once('error', reject)
      call.once('response', (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.once('end', () => resolve({ text, cookie: response.headers['set-cookie']?.[0] }))
      })
      call.end(
        '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">' +
          `<Body>${xml}</Body></Envelope>`,
      )
    })
  const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  const methodXml = (method: string, { type, id }: { type: string; id: string }, body: string) =>
    `<${method} xmlns="urn:vim25"><_this type="${type}">${id}</_this>${body}</${method}>`
  const signIn = async () => {
    const credentials = `<userName>${escaped(username)}</userName><password>${escaped(password)}</password>`
    const answer = await send(
      methodXml('Login', { type: 'SessionManager', id: 'SessionManager' }, credentials),
    )
    cookie = answer.cookie?.split(';')[0] ?? ''
  }
  return async (method, on, body = '') => {
    if (cookie === '') await signIn()
    const { text } = await send(methodXml(method, on, body))
    if (text.includes('<faultcode>')) throw new Error(`${method}: ${text}`)
    return text
  }
}
