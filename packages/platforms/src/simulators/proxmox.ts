/** A Proxmox VE 9 cluster that shows a simulated data centre: the paths that the connector reads, and signing in. */
import { randomBytes } from 'node:crypto'
import { type Fault, type SimulatedAnswer, type SimulatedRequest, startSimulatorServer } from './server.ts'
import type { DataCentre, JournalEntry, SimulatedHost, SimulatedMachine } from './state.ts'

/** Machines that are shown in a strange way, by id. */
export type ProxmoxViews = {
  /** Listed on their own node and on another one at once. */
  onTwoNodes: Set<string>
  /** Listed nowhere, though they exist. */
  onNone: Set<string>
  /** Their row comes twice. */
  twice: Set<string>
}
export type ProxmoxSimulator = {
  address: string
  fingerprint: string
  requests: string[]
  views: ProxmoxViews
  inject: (fault: Fault) => void
  clearFaults: () => void
  /** Every ticket that was given out stops working. */
  expireSessions: () => void
  close: () => Promise<void>
}

const json = (status: number, value: unknown): SimulatedAnswer => ({
  status,
  type: 'application/json;charset=UTF-8',
  body: JSON.stringify(value),
})

export async function startProxmoxSimulator(options: {
  dataCentre: DataCentre
  /** `demo@pve` unless given. */
  username?: string
  password: string
  token?: { tokenId: string; secret: string }
  privileges?: string[]
  port?: number
}): Promise<ProxmoxSimulator> {
  const { dataCentre, username = 'demo@pve', password, token } = options
  const privileges = options.privileges ?? ['VM.Audit', 'Sys.Audit', 'VM.GuestAgent.Audit']
  const views: ProxmoxViews = { onTwoNodes: new Set(), onNone: new Set(), twice: new Set() }
  let tickets = new Set<string>()
  const hostOf = (id: string | null) => dataCentre.hosts.find((host) => host.id === id)
  const nodeOf = (id: string | null) => hostOf(id)?.name ?? ''

  function signIn({ body }: SimulatedRequest): SimulatedAnswer {
    const form = new URLSearchParams(body)
    if (form.get('username') !== username || form.get('password') !== password)
      return json(401, { data: null, message: 'authentication failure\n' })
    const ticket = `PVE:${username}:${randomBytes(24).toString('base64')}`
    tickets.add(ticket)
    return json(200, {
      data: { ticket, username, CSRFPreventionToken: 'unused', clustername: dataCentre.name },
    })
  }

  function isSignedIn({ headers }: SimulatedRequest): boolean {
    if (token !== undefined && headers.authorization === `PVEAPIToken=${token.tokenId}=${token.secret}`)
      return true
    const cookie = /(?:^|;\s*)PVEAuthCookie=([^;]+)/.exec(headers.cookie ?? '')?.[1]
    return cookie !== undefined && tickets.has(decodeURIComponent(cookie))
  }

  function answer(request: SimulatedRequest): SimulatedAnswer {
    const path = request.path.replace(/^\/api2\/json/, '')
    if (request.method === 'POST' && path === '/access/ticket') return signIn(request)
    if (!isSignedIn(request)) return json(401, { data: null, message: 'No ticket' })
    if (request.method !== 'GET') return json(501, { data: null, message: 'Method not implemented' })
    if (path === '/version') return json(200, { data: { version: '9.1.5', release: '9.1', repoid: 'demo' } })
    if (path === '/access/permissions')
      return json(200, { data: { '/': Object.fromEntries(privileges.map((name) => [name, 1])) } })
    if (path === '/cluster/status') return json(200, { data: clusterStatus() })
    if (path === '/cluster/resources') return json(200, { data: resources() })
    if (path === '/cluster/tasks') return json(200, { data: tasksOf(dataCentre.journal.slice(-50)) })
    const node = /^\/nodes\/([^/]+)(\/.*)$/.exec(path)
    return node === null
      ? json(501, { data: null })
      : nodeAnswer(decodeURIComponent(node[1] ?? ''), node[2] ?? '', request)
  }

  function nodeAnswer(name: string, path: string, { query }: SimulatedRequest): SimulatedAnswer {
    const host = dataCentre.hosts.find((one) => one.name === name)
    if (host === undefined || !host.isUp) return json(595, { data: null, message: 'No route to host' })
    if (path === '/version') return json(200, { data: { version: '9.1.5', release: '9.1', repoid: 'demo' } })
    if (path === '/certificates/info')
      return json(200, {
        data: [{ filename: 'pve-root-ca.pem', fingerprint: fakeCaFingerprint(dataCentre) }],
      })
    if (path === '/tasks') {
      const wanted = query.get('typefilter')
      const tasks = tasksOf(dataCentre.journal.filter(({ hostId }) => hostId === host.id))
      return json(200, { data: tasks.filter(({ type }) => wanted === null || type === wanted) })
    }
    const guest = /^\/(qemu|lxc)\/(\d+)\/(.+)$/.exec(path)
    return guest === null
      ? json(501, { data: null })
      : guestAnswer(host, guest[1] ?? '', Number(guest[2]), guest[3] ?? '')
  }

  function machineNumbered(number: number): SimulatedMachine | undefined {
    for (const machine of dataCentre.machines.values()) if (machine.number === number) return machine
    return undefined
  }

  function guestAnswer(host: SimulatedHost, type: string, number: number, path: string): SimulatedAnswer {
    const machine = machineNumbered(number)
    if (machine === undefined || typeOf(machine) !== type || machine.hostId !== host.id) {
      const file = `nodes/${host.name}/${type === 'qemu' ? 'qemu-server' : 'lxc'}/${number}.conf`
      return json(500, { data: null, message: `Configuration file '${file}' does not exist\n` })
    }
    if (path === 'config') return json(200, { data: configOf(machine, dataCentre) })
    if (path === 'agent/network-get-interfaces' && type === 'qemu') {
      if (machine.power === 'off') return json(500, { data: null, message: `VM ${number} is not running\n` })
      return json(200, { data: { result: interfacesOf(machine) } })
    }
    if (path === 'interfaces' && type === 'lxc')
      return json(200, {
        data: machine.macs.map((hwaddr) => ({ name: 'eth0', hwaddr, inet: `${machine.addresses[0]}/24` })),
      })
    return json(501, { data: null })
  }

  function clusterStatus() {
    const up = dataCentre.hosts.filter(({ isUp }) => isUp).length
    return [
      {
        type: 'cluster',
        id: 'cluster',
        name: dataCentre.name,
        nodes: dataCentre.hosts.length,
        quorate: up > 0 ? 1 : 0,
        version: 1,
      },
      ...dataCentre.hosts.map(({ name, address, isUp }, index) => ({
        type: 'node',
        id: `node/${name}`,
        name,
        ip: address,
        online: isUp ? 1 : 0,
        local: index === 0 ? 1 : 0,
        nodeid: index + 1,
      })),
    ]
  }

  function resources() {
    const guests = [...dataCentre.machines.values()].flatMap((machine) => {
      if (views.onNone.has(machine.id)) return []
      const row = rowOf(machine, hostOf(machine.hostId))
      if (views.twice.has(machine.id)) return [row, row]
      if (!views.onTwoNodes.has(machine.id)) return [row]
      const other =
        machine.migratingToId ?? dataCentre.hosts.find(({ id }) => id !== machine.hostId)?.id ?? null
      return [{ ...row, node: nodeOf(other) }, row]
    })
    const nodes = dataCentre.hosts.map(({ name, isUp }) => ({
      id: `node/${name}`,
      type: 'node',
      node: name,
      status: isUp ? 'online' : 'offline',
    }))
    const storage = dataCentre.hosts.map(({ name }) => ({
      id: `storage/${name}/local`,
      type: 'storage',
      node: name,
      storage: 'local',
      status: 'available',
    }))
    return [...guests, ...nodes, ...storage]
  }

  function tasksOf(entries: JournalEntry[]) {
    return entries.flatMap((entry) => {
      const about = entry.kind === 'cloned' ? entry.sourceId : entry.machineId
      const number = dataCentre.machines.get(about ?? '')?.number
      const types: Partial<Record<JournalEntry['kind'], string>> = {
        cloned: 'qmclone',
        'migration-started': 'qmigrate',
        'template-made': 'qmtemplate',
        removed: 'qmdestroy',
        started: 'qmstart',
        stopped: 'qmstop',
      }
      const type = types[entry.kind]
      if (type === undefined || number === undefined) return []
      const starttime = Math.floor(entry.atMs / 1000)
      const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0')
      const upid = `UPID:${nodeOf(entry.hostId)}:${hex(entry.index)}:${hex(entry.index)}:${hex(starttime)}:${type}:${number}:${username}:`
      return [
        {
          upid,
          type,
          id: `${number}`,
          node: nodeOf(entry.hostId),
          user: username,
          starttime,
          endtime: starttime,
          status: 'OK',
        },
      ]
    })
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
      tickets = new Set()
    },
  }
}

const typeOf = (machine: SimulatedMachine) => (machine.kind === 'container' ? 'lxc' : 'qemu')

function rowOf(machine: SimulatedMachine, host: SimulatedHost | undefined) {
  const type = typeOf(machine)
  return {
    id: `${type}/${machine.number}`,
    type,
    vmid: machine.number,
    node: host?.name ?? '',
    name: machine.name,
    // A node that is down reports nothing of its guests.
    status: host?.isUp === false ? 'unknown' : machine.power === 'on' ? 'running' : 'stopped',
    template: machine.kind === 'template' ? 1 : 0,
    uptime: machine.power === 'on' ? 1000 : 0,
    maxcpu: 2,
    maxmem: 4_294_967_296,
    ...(machine.migratingToId === null ? {} : { lock: 'migrate' }),
  }
}

/** `qm.conf(5)`, or `pct.conf(5)` for a container. */
function configOf(machine: SimulatedMachine, dataCentre: DataCentre): Record<string, string | number> {
  const { number, datastore, macs, name, uuid } = machine
  const digest = machine.id.replaceAll('-', '').padEnd(40, '0')
  if (machine.kind === 'container')
    return {
      hostname: name,
      ostype: 'debian',
      rootfs: `${datastore}:vm-${number}-disk-0,size=8G`,
      net0: `name=eth0,bridge=vmbr0,hwaddr=${(macs[0] ?? '').toUpperCase()},ip=${machine.addresses[0]}/24,type=veth`,
      digest,
    }
  const template = machine.parent?.kind === 'linked' ? dataCentre.machines.get(machine.parent.id) : undefined
  const own = `${machine.kind === 'template' ? 'base' : 'vm'}-${number}-disk-0`
  const nics = macs.map((mac, index) => [
    `net${index}`,
    `virtio=${mac.toUpperCase()},bridge=vmbr0,firewall=1`,
  ])
  return {
    name,
    ostype: machine.os === 'windows' ? 'win11' : 'l26',
    agent: '1',
    smbios1: `uuid=${uuid}`,
    vmgenid: machine.id,
    scsi0: `${datastore}:${template === undefined ? '' : `base-${template.number}-disk-0/`}${own},iothread=1,size=40G`,
    ide2: 'none,media=cdrom',
    meta: `creation-qemu=10.1.2,ctime=${machine.createdAt}`,
    ...Object.fromEntries(nics),
    ...(machine.kind === 'template' ? { template: 1 } : {}),
    digest,
  }
}

function interfacesOf(machine: SimulatedMachine) {
  const loopback = {
    name: 'lo',
    'hardware-address': '00:00:00:00:00:00',
    'ip-addresses': [{ 'ip-address-type': 'ipv4', 'ip-address': '127.0.0.1', prefix: 8 }],
  }
  const cards = machine.macs.map((mac, index) => ({
    name: `ens${18 + index}`,
    'hardware-address': mac,
    'ip-addresses': [{ 'ip-address-type': 'ipv4', 'ip-address': machine.addresses[index] ?? '', prefix: 24 }],
  }))
  return [loopback, ...cards]
}

/** The same for the same data centre: the authority of a cluster does not change. */
function fakeCaFingerprint(dataCentre: DataCentre): string {
  const hex = (dataCentre.clusters[0]?.id ?? '').replaceAll('-', '').repeat(2).toUpperCase()
  return (hex.match(/../g) ?? []).join(':')
}
