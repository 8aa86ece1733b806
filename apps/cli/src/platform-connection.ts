import { readFileSync } from 'node:fs'
import { AppError, type PlatformCredentials, type PlatformKind, platformKinds } from '@ringwall/contracts'
import type { Context } from './context.ts'
import { ask } from './prompt.ts'
import { fill } from './text/text.ts'

export type ConnectionOptions = {
  kind: string
  address: string
  fingerprint?: string
  user?: string
  tokenId?: string
  sshKey?: string
}

/** The kind as it was typed. Throws invalid_request for one that is none. */
export function platformKindOf(text: string): PlatformKind {
  const kind = platformKinds.find((known) => known === text)
  if (kind === undefined)
    throw new AppError('invalid_request', { problems: `--kind: expected one of ${platformKinds.join(', ')}` })
  return kind
}

/** How to sign in, from options and what is typed; secrets are asked for or read from standard input, never taken from the command line. */
export async function askCredentials(
  context: Context,
  options: ConnectionOptions,
): Promise<PlatformCredentials> {
  const { text } = context
  if (options.sshKey !== undefined) {
    const username = options.user ?? (await ask(text.platform.account, false))
    return { kind: 'ssh-key', username, privateKeyPem: readFileSync(options.sshKey, 'utf8') }
  }
  if (options.tokenId !== undefined)
    return { kind: 'token', tokenId: options.tokenId, secret: await ask(text.platform.secret, true) }
  if (options.address.startsWith('unix:')) return { kind: 'none' }
  const username = options.user ?? (await ask(text.platform.account, false))
  return { kind: 'password', username, password: await ask(text.platform.secret, true) }
}

/** Whether the fingerprint that answers is the one given, or there is none to give; else it is shown, to be compared. */
export function isAccepted(context: Context, options: ConnectionOptions, presented: string | null): boolean {
  if (presented === null || options.fingerprint !== undefined) return true
  context.note(fill(context.text.platform.compare, { address: options.address, fingerprint: presented }))
  return false
}
