import { hostname } from 'node:os'
import { AppError, accessRoutes, createApiClient, roles } from '@ringwall/contracts'
import { connectPinned, presentedCaHash } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { saveProfile } from '../profile.ts'
import { ask } from '../prompt.ts'
import { fill } from '../text/text.ts'
import { createTransport } from '../transport.ts'

type LoginOptions = { caHash?: string; user?: string; passwordStdin?: boolean }

/**
 * `ringwall login URL`: pins the center's CA by its hash, signs in once and keeps an API token of the own role,
 * valid for 90 days. The password is asked for, or read from standard input; never taken from the command line.
 */
export async function login(context: Context, url: string, options: LoginOptions): Promise<number> {
  const { hostname: host, port } = new URL(url)
  const address = { host, port: Number(port || 443) }
  if (options.caHash === undefined) {
    context.note(fill(context.text.login.caHash, { hash: await presentedCaHash(address) }))
    return exitCodes.usage
  }
  const caPem = await connectPinned({ ...address, caHash: options.caHash })
  const name = options.user ?? (await ask(context.text.login.name, false))
  const password = await ask(context.text.login.password, true)
  let cookie = ''
  let csrfToken = ''
  const transport = createTransport(url, caPem, (setCookie) => {
    cookie = setCookie
  })
  const client = createApiClient(transport, () => ({
    cookie,
    'ringwall-csrf': csrfToken,
    origin: new URL(url).origin,
  }))
  const session = await client(accessRoutes.signIn, { body: { name, password } })
  if (session.user.mustChangePassword) throw new AppError('password_change_required')
  csrfToken = session.csrfToken ?? ''
  const role = roles.find((candidate) => candidate === session.user.role) ?? 'viewer'
  const { token } = await client(accessRoutes.createApiToken, {
    body: { name: `ringwall login @ ${hostname()}`, role },
  })
  await client(accessRoutes.signOut, {})
  context.print(fill(context.text.login.done, { name, path: saveProfile({ url, caPem, token }) }))
  return exitCodes.ok
}
