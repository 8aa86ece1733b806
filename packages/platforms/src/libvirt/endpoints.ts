/** Addresses of libvirt daemons, and the form in which the host keys of several of them are pinned. */
import { AppError } from '@ringwall/contracts'

export type UnixEndpoint = { kind: 'unix'; label: string; socketPaths: string[] }
export type SshEndpoint = {
  kind: 'ssh'
  /** Without the user: what messages and pins call it. */
  label: string
  host: string
  port: number
  /** Null: the account of the platform entry. */
  username: string | null
  socketPaths: string[]
}
export type Endpoint = UnixEndpoint | SshEndpoint

const maxEndpoints = 200
/** `sun_path` of Linux, with its final zero. */
const maxSocketPathBytes = 107
/** Modular daemons and the old single one; the read-only socket first, as that is all we need. */
const defaultSocketPaths = [
  '/run/libvirt/virtqemud-sock-ro',
  '/run/libvirt/libvirt-sock-ro',
  '/run/libvirt/virtqemud-sock',
  '/run/libvirt/libvirt-sock',
]

/** The daemons in `address`: `unix://[/path]` or `ssh://[user@]host[:port][/path]`, set apart by commas or white space. Errors: platform_address_invalid. */
export function parseEndpoints(address: string): Endpoint[] {
  const parts = address.split(/[\s,]+/).filter((part) => part !== '')
  // An error goes to pages and logs: a password that was typed into an address must not.
  const fail = (part: string, reason: string) =>
    new AppError('platform_address_invalid', { address: part.replace(/:[^:/]*@/, '@'), reason })
  if (parts.length === 0) throw fail(address, 'expected unix:///path or ssh://user@host')
  if (parts.length > maxEndpoints) throw fail(address, `more than ${maxEndpoints} hosts`)
  const endpoints = parts.map((part): Endpoint => {
    const url = URL.parse(part)
    if (url === null || (url.protocol !== 'unix:' && url.protocol !== 'ssh:'))
      throw fail(part, 'expected unix:///path or ssh://user@host[:port][/path]')
    if (url.password !== '' || url.search !== '' || url.hash !== '')
      throw fail(part, 'passwords, queries and fragments do not belong in an address')
    const path = decode(url.pathname)
    if (Buffer.byteLength(path) > maxSocketPathBytes)
      throw fail(part, `a socket path has at most ${maxSocketPathBytes} bytes`)
    const socketPaths = path === '' || path === '/' ? defaultSocketPaths : [path]
    if (url.protocol === 'unix:') {
      if (url.host !== '' || url.username !== '') throw fail(part, 'a Unix socket has no host: unix:///path')
      return { kind: 'unix', label: `unix://${path === '/' ? '' : path}`, socketPaths }
    }
    const port = url.port === '' ? 22 : Number(url.port)
    if (url.hostname === '' || port === 0) throw fail(part, 'expected ssh://user@host[:port][/path]')
    return {
      kind: 'ssh',
      label: port === 22 ? url.hostname : `${url.hostname}:${port}`,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port,
      username: url.username === '' ? null : decode(url.username),
      socketPaths,
    }
  })
  const seen = new Set<string>()
  for (const endpoint of endpoints) {
    const key = `${endpoint.kind} ${endpoint.label} ${endpoint.socketPaths.join()}`
    if (seen.has(key)) throw fail(endpoint.label, 'it is there twice')
    seen.add(key)
  }
  return endpoints
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const keyPattern = /^sha256:[0-9a-f]{64}$/

/**
 * The host keys of the SSH endpoints as one fingerprint. One host: `sha256:<hex>`. Several: `host=sha256:<hex>,host=sha256:<hex>`, sorted by
 * host: a list rather than a hash of it, so that a person can compare each, and one host can be verified while another is down.
 */
export function formatHostKeys(keys: Map<string, string>): string | null {
  const entries = [...keys].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const [first] = entries
  if (first === undefined) return null
  return entries.length === 1 ? first[1] : entries.map(([label, key]) => `${label}=${key}`).join(',')
}

/** The pinned key of each SSH host. A host that is not in the list has none and will be refused. */
export function parseHostKeys(fingerprint: string | undefined, endpoints: Endpoint[]): Map<string, string> {
  const labels = [...new Set(endpoints.flatMap(({ kind, label }) => (kind === 'ssh' ? [label] : [])))]
  const text = fingerprint ?? ''
  const [only] = labels
  if (labels.length === 1 && only !== undefined && keyPattern.test(text)) return new Map([[only, text]])
  const entries = text.split(',').flatMap((entry): [string, string][] => {
    const at = entry.lastIndexOf('=')
    const key = entry.slice(at + 1)
    return at > 0 && keyPattern.test(key) ? [[entry.slice(0, at), key]] : []
  })
  return new Map(entries)
}
