import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { z } from 'zod'

/** How to reach a center: the address of its console, its CA and an API token. */
const profileSchema = z.object({ url: z.url(), caPem: z.string(), token: z.string() })
export type Profile = z.infer<typeof profileSchema>

/** State root of all programs on this machine. */
export function ringwallHome(environment: NodeJS.ProcessEnv): string {
  if (environment.RINGWALL_HOME) return environment.RINGWALL_HOME
  return process.getuid?.() === 0 ? '/var/lib/ringwall' : join(homedir(), '.local/share/ringwall')
}

/** Written by the center for the command line of its own machine, readable by its own user only. */
export function localProfilePath(home: string): string {
  return join(home, 'center', 'local-profile.json')
}

function ownProfilePath(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'ringwall', 'profile.json')
}

function readProfile(path: string): Profile | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  const parsed = profileSchema.safeParse(safeJson(text))
  if (!parsed.success) throw new AppError('file_damaged', { path, reason: 'not a profile' })
  return parsed.data
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The center signed in to, else the one of this machine. Throws unauthenticated where there is neither. */
export function loadProfile(home: string): Profile {
  const profile = readProfile(ownProfilePath()) ?? readProfile(localProfilePath(home))
  if (profile === undefined) throw new AppError('unauthenticated')
  return profile
}

/** The profile of the center that runs on this machine. */
export function loadLocalProfile(home: string): Profile | undefined {
  return readProfile(localProfilePath(home))
}

/** Keeps a profile for this user; answers its path. */
export function saveProfile(profile: Profile): string {
  const path = ownProfilePath()
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600 })
  return path
}
