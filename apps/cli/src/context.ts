import { type ApiClient, createApiClient, type LiveMessage } from '@ringwall/contracts'
import { followLive } from './live.ts'
import { formatTable } from './output.ts'
import { loadProfile, type Profile, ringwallHome } from './profile.ts'
import type { Texts } from './text/en.ts'
import { fill, type Language, terminalLanguage, textsFor } from './text/text.ts'
import { createTransport } from './transport.ts'

/** What every command gets. */
export type Context = {
  home: string
  language: Language
  text: Texts
  /** Client of the center signed in to. Throws unauthenticated when there is none. */
  client: () => ApiClient
  /** Changes at that center, until the signal aborts. */
  live: (onMessage: (message: LiveMessage) => void, signal: AbortSignal) => { isOpen: () => boolean }
  print: (line: string) => void
  /** Progress and notices: never mixed with what a script reads. */
  note: (line: string) => void
}

export function createClientOf(profile: Profile): ApiClient {
  return createApiClient(createTransport(profile.url, profile.caPem), () => ({
    authorization: `Bearer ${profile.token}`,
  }))
}

export function createContext(environment: NodeJS.ProcessEnv): Context {
  const home = ringwallHome(environment)
  const language = terminalLanguage(environment)
  return {
    home,
    language,
    text: textsFor(language),
    client: () => createClientOf(loadProfile(home)),
    live: (onMessage, signal) => followLive(loadProfile(home), onMessage, signal),
    print: (line) => process.stdout.write(`${line}\n`),
    note: (line) => process.stderr.write(`${line}\n`),
  }
}

type Page<T> = { items: T[]; total: number; nextCursor: string | null }

/** Prints a page of a list, as JSON or as a table with a hint when there is more. */
export function printPage<T>(
  context: Context,
  page: Page<T>,
  asJson: boolean,
  headers: string[],
  row: (item: T) => string[],
): void {
  if (asJson) {
    context.print(JSON.stringify(page, null, 2))
    return
  }
  if (page.items.length === 0) {
    context.print(context.text.empty)
    return
  }
  process.stdout.write(formatTable(headers, page.items.map(row)))
  if (page.items.length < page.total)
    context.note(fill(context.text.more, { shown: page.items.length, total: page.total }))
}
