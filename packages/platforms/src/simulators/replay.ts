/** Serves recorded exchanges over HTTPS, so that a connector can be run against what a real platform once answered. */
import type { PlatformKind } from '@ringwall/contracts'
import type { Exchange } from '../recorder.ts'
import { type SimulatorServer, startSimulatorServer } from './server.ts'

/** Sign-ins are never recorded; these let a connector pass. */
const signIns: Partial<Record<PlatformKind, { path: string; body: string }>> = {
  proxmox: { path: '/api2/json/access/ticket', body: '{"data":{"ticket":"replayed"}}' },
  ovirt: { path: '/ovirt-engine/sso/oauth/token', body: '{"access_token":"replayed"}' },
}

/**
 * Recorded answers by their request. A request that was recorded several times gives its answers in order and then the last one again;
 * undefined for what was never asked.
 */
export function createReplay(exchanges: readonly Exchange[]): (request: string) => Exchange | undefined {
  const recorded = new Map<string, Exchange[]>()
  for (const exchange of exchanges)
    recorded.set(exchange.request, [...(recorded.get(exchange.request) ?? []), exchange])
  return (request) => {
    const answers = recorded.get(request)
    return answers !== undefined && answers.length > 1 ? answers.shift() : answers?.[0]
  }
}

/** What was not recorded is answered with 404. */
export async function startReplayServer(recording: {
  kind: PlatformKind
  exchanges: readonly Exchange[]
}): Promise<SimulatorServer> {
  const replay = createReplay(recording.exchanges)
  const signIn = signIns[recording.kind]
  return startSimulatorServer({
    name: 'replay',
    answer: ({ method, target, path }) => {
      if (method === 'POST' && path === signIn?.path)
        return { status: 200, type: 'application/json', body: signIn.body }
      const exchange = replay(`${method} ${target}`)
      return { status: exchange?.status ?? 404, type: 'text/plain', body: exchange?.body ?? '' }
    },
  })
}
