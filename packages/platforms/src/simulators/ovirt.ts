/** An oVirt engine that shows a simulated data centre: sign-on, collections with pages, single objects, and the event log. */
import { randomBytes } from 'node:crypto'
import {
  type ApiForm,
  apiRoot,
  blankTemplateElement,
  clusterElement,
  documentOf,
  eventElement,
  faultOf,
  hostElement,
  listOf,
  machineElement,
  nicsElement,
  storageElement,
  templateElement,
} from './ovirt-xml.ts'
import { type Fault, type SimulatedAnswer, type SimulatedRequest, startSimulatorServer } from './server.ts'
import type { DataCentre, SimulatedMachine } from './state.ts'

/** Machines that are shown in a strange way, by id. */
export type OvirtViews = {
  /** Listed a second time, on another host. */
  onTwoHosts: Set<string>
  /** Running, but on no host. */
  onNone: Set<string>
  /** Left out of the pages, as when a removal moves their edges; asked for by id they are there. */
  overlooked: Set<string>
}
export type OvirtSimulator = {
  address: string
  fingerprint: string
  requests: string[]
  views: OvirtViews
  inject: (fault: Fault) => void
  clearFaults: () => void
  /** Every token that was given out stops working. */
  expireSessions: () => void
  /** Every other event becomes visible one question late, after events with higher numbers. */
  reorderEvents: (isOn: boolean) => void
  close: () => Promise<void>
}

const pageSize = 100

const xml = (status: number, body: string): SimulatedAnswer => ({ status, type: 'application/xml', body })

export async function startOvirtSimulator(options: {
  dataCentre: DataCentre
  /** `admin@internal` unless given. */
  username?: string
  password: string
  /** `v3`: an engine of version 3.6, with Basic sign-in and without following links. */
  form?: ApiForm
  port?: number
}): Promise<OvirtSimulator> {
  const { dataCentre, username = 'admin@internal', password, form = 'v4' } = options
  const views: OvirtViews = { onTwoHosts: new Set(), onNone: new Set(), overlooked: new Set() }
  const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  let tokens = new Set<string>()
  let isReordering = false
  const heldBack = new Set<number>()

  function signIn({ body }: SimulatedRequest): SimulatedAnswer {
    const type = 'application/json'
    const sent = new URLSearchParams(body)
    if (sent.get('username') !== username || sent.get('password') !== password)
      return {
        status: 401,
        type,
        body: JSON.stringify({ error: 'access_denied', error_code: 'access_denied' }),
      }
    const token = randomBytes(32).toString('base64url')
    tokens.add(token)
    return {
      status: 200,
      type,
      body: JSON.stringify({ access_token: token, scope: 'ovirt-app-api', token_type: 'bearer' }),
    }
  }

  function isSignedIn({ headers }: SimulatedRequest): boolean {
    const { authorization = '' } = headers
    return form === 'v3' ? authorization === basic : tokens.has(authorization.replace(/^Bearer /, ''))
  }

  function answer(request: SimulatedRequest): SimulatedAnswer {
    if (form === 'v4' && request.method === 'POST' && request.path === '/ovirt-engine/sso/oauth/token')
      return signIn(request)
    if (form === 'v4' && request.method === 'POST' && request.path === '/ovirt-engine/services/sso-logout') {
      tokens.delete(new URLSearchParams(request.body).get('token') ?? '')
      return { status: 200, type: 'application/json', body: '{}' }
    }
    if (!/^\/ovirt-engine\/api(\/|$)/.test(request.path)) return xml(404, faultOf('not here'))
    if (!isSignedIn(request)) return xml(401, faultOf('not signed in'))
    if (request.method !== 'GET') return xml(405, faultOf('read only'))
    const [collection = '', id, part] = request.path.replace(/^\/ovirt-engine\/api\/?/, '').split('/')
    if (collection === '') return xml(200, apiRoot(form))
    if (collection === 'events') return xml(200, documentOf(listOf('events', eventsFor(request.query))))
    const elements = elementsOf(collection, followOf(request.query))
    if (elements === undefined) return xml(404, faultOf('no such collection'))
    if (id === undefined)
      return xml(
        200,
        documentOf(
          listOf(
            collection === 'storagedomains' ? 'storage_domains' : collection,
            pageOf(elements, request.query),
          ),
        ),
      )
    if (part === 'nics' && collection === 'vms') return nicsOf(id)
    const element =
      collection === 'vms'
        ? machineById(id, followOf(request.query))
        : elements.map((one) => one()).find((one) => one.includes(` id="${id}">`))
    return element === undefined ? xml(404, faultOf(`no ${id}`)) : xml(200, documentOf(element))
  }

  const followOf = (query: URLSearchParams) => (form === 'v3' ? [] : (query.get('follow') ?? '').split(','))
  const isMachine = ({ kind }: SimulatedMachine) => kind !== 'template'
  const all = () => [...dataCentre.machines.values()].sort((a, b) => (a.title < b.title ? -1 : 1))
  const show = (machine: SimulatedMachine, follow: string[], hostId: string | null) =>
    machineElement(machine, dataCentre, {
      form,
      follow,
      hostId: views.onNone.has(machine.id) ? null : hostId,
    })

  /** Written only when they are on the page that is asked for. */
  function elementsOf(collection: string, follow: string[]): (() => string)[] | undefined {
    if (collection === 'clusters') return dataCentre.clusters.map((cluster) => () => clusterElement(cluster))
    if (collection === 'hosts') return dataCentre.hosts.map((host) => () => hostElement(host, form))
    if (collection === 'templates') {
      const templates = all().filter((machine) => !isMachine(machine))
      return [
        () => blankTemplateElement(form),
        ...templates.map((machine) => () => templateElement(machine, form)),
      ]
    }
    if (collection === 'storagedomains')
      return [...new Set(all().map(({ datastore }) => datastore))].map((id) => () => storageElement(id))
    if (collection !== 'vms') return undefined
    const listed = all().filter((machine) => isMachine(machine) && !views.overlooked.has(machine.id))
    const twice = listed.filter(({ id }) => views.onTwoHosts.has(id))
    const otherHost = (machine: SimulatedMachine) =>
      machine.migratingToId ?? dataCentre.hosts.find(({ id }) => id !== machine.hostId)?.id ?? null
    return [
      ...listed.map((machine) => () => show(machine, follow, machine.hostId)),
      ...twice.map((machine) => () => show(machine, follow, otherHost(machine))),
    ]
  }

  function machineById(id: string, follow: string[]): string | undefined {
    const machine = dataCentre.machines.get(id)
    return machine !== undefined && isMachine(machine) ? show(machine, follow, machine.hostId) : undefined
  }

  function nicsOf(id: string): SimulatedAnswer {
    const machine = dataCentre.machines.get(id)
    return machine === undefined
      ? xml(404, faultOf(`no ${id}`))
      : xml(200, documentOf(nicsElement(machine, form)))
  }

  /** `search=sortby name asc page 2`; without a page the engine gives everything, up to `max`. */
  function pageOf(elements: (() => string)[], query: URLSearchParams): string[] {
    const page = Number(/\bpage (\d+)/.exec(query.get('search') ?? '')?.[1] ?? 0)
    const from = Math.max(0, page - 1) * pageSize
    const count = page > 0 ? pageSize : Number(query.get('max') ?? elements.length)
    return elements.slice(from, from + count).map((element) => element())
  }

  function eventsFor(query: URLSearchParams): string[] {
    const from = Number(query.get('from') ?? 0)
    const visible = dataCentre.journal.filter(({ index }) => {
      if (index <= from) return false
      if (!isReordering || index % 2 === 0 || heldBack.has(index)) return true
      // Committed late: the next question shows it, and not this one.
      if (query.has('from')) heldBack.add(index)
      return false
    })
    return visible
      .reverse()
      .slice(0, Number(query.get('max') ?? visible.length))
      .map(eventElement)
  }

  const server = await startSimulatorServer({
    name: `${dataCentre.name}.demo.example`,
    answer,
    ...(options.port === undefined ? {} : { port: options.port }),
  })
  return {
    ...server,
    views,
    expireSessions: () => {
      tokens = new Set()
    },
    reorderEvents: (isOn) => {
      isReordering = isOn
    },
  }
}
