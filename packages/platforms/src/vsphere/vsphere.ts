import { AppError } from '@ringwall/contracts'
import { sleep } from '@ringwall/runtime'
import { createPinnedHttp, parseHttpsAddress, presentedFingerprint } from '../http.ts'
import type { Change, Connector, ConnectorDefinition, ConnectorOptions, PlatformIdentity } from '../types.ts'
import { type Follower, openFollower } from './follower.ts'
import { createCopyEvents } from './lineage.ts'
import { openUpdateStream } from './property-collector.ts'
import { createSession, isLost, type Session } from './session.ts'
import { createSoap } from './soap.ts'

const defaultPort = 443
/** A session that is lost again and again without one good answer in between is no longer an accident. */
const maxLossesInARow = 3
const lossPauseMs = 1000

/** VMware vCenter, or one ESXi host: vim25 over SOAP, versions 5.5 to 8. */
export const vsphere: ConnectorDefinition = {
  kind: 'vsphere',
  capabilities: {
    changes: 'push',
    lineage: 'derived',
    templates: true,
    guestAddresses: true,
    credentialKinds: ['password'],
    verified: 'real-peer',
    addressExample: 'vcenter.example.com',
  },
  validateAddress: (address) => void parseHttpsAddress(address, defaultPort),
  fingerprint: (address, signal) => {
    const { host, port } = parseHttpsAddress(address, defaultPort)
    return presentedFingerprint(host, port, signal)
  },
  open: createVsphereConnector,
}

function createVsphereConnector(options: ConnectorOptions): Connector {
  const { address, fingerprint, credentials, requestsPerSecond, clock, logger, recorder } = options
  if (fingerprint === undefined)
    throw new AppError('certificate_untrusted', { address, reason: 'no fingerprint was accepted' })
  const http = createPinnedHttp({
    ...parseHttpsAddress(address, defaultPort),
    fingerprint,
    requestsPerSecond,
    clock,
    recorder,
  })
  const session = createSession({ soap: createSoap({ http, address }), credentials })
  const copies = createCopyEvents(session)
  /** What the last `list` left for `watch` to go on from. */
  let handedOver: Follower | undefined
  let watches = 0

  const open = (signal: AbortSignal, onProgress?: (objects: number) => void) =>
    openFollower({ session, copies, clock, signal, onProgress })

  return {
    check: (signal) => check(session, signal),
    list: async (signal, onProgress) => {
      const { inventory, follower } = await open(signal, onProgress)
      if (watches > 0) await follower.destroy()
      else {
        const before = handedOver
        handedOver = follower
        await before?.destroy()
      }
      return inventory
    },
    watch: async function* (signal): AsyncGenerator<Change[]> {
      watches += 1
      let follower = handedOver
      handedOver = undefined
      let reason = 'what happened before this watch is not known'
      let losses = 0
      try {
        while (!signal.aborted) {
          try {
            if (follower === undefined) {
              follower = (await open(signal)).follower
              yield [{ type: 'resync', reason }]
            }
            const changes = await follower.next(signal)
            losses = 0
            yield changes
          } catch (error) {
            losses += 1
            if (!isLost(error) || losses >= maxLossesInARow) throw error
            logger.info({ address, losses }, 'the session ended; signing in again')
            reason = 'the session ended'
            await follower?.destroy()
            follower = undefined
            await sleep(lossPauseMs, signal)
          }
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        watches -= 1
        await follower?.destroy()
      }
    },
    close: async () => {
      await session.close()
      http.close()
    },
  }
}

/** Signs in, looks at one host and asks for events: what an account without rights cannot. */
async function check(session: Session, signal: AbortSignal): Promise<PlatformIdentity> {
  const { product, version, instanceId, isSingleHost } = await session.content(signal)
  const warnings: PlatformIdentity['warnings'] = []
  const hosts = await openUpdateStream(session, { HostSystem: ['name'] }, signal)
  try {
    let count = 0
    await hosts.wait({
      maxWaitSeconds: 0,
      signal,
      onUpdate: () => {
        count += 1
      },
    })
    if (count === 0) warnings.push({ code: 'hosts_hidden', params: { role: 'Read-only' } })
  } finally {
    await hosts.destroy()
  }
  if (isSingleHost) {
    warnings.push({ code: 'single_host', params: { product: 'ESXi' } })
  } else if ((await createCopyEvents(session).refresh(signal)) === undefined) {
    warnings.push({ code: 'events_hidden', params: {} })
  }
  return { product, version, instanceId, warnings }
}
