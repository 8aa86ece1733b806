/**
 * A data centre that does not exist: clusters, hosts, templates, machines and their copies, and migrations between hosts. The simulators
 * show it in the words of their platforms. All of it follows from the seed, and every name says that it is a demonstration.
 */
import { datastores, nameOf, templateKinds } from './names.ts'
import { createRandom } from './random.ts'

export type SimulatedCluster = { id: string; name: string }
export type SimulatedHost = {
  id: string
  name: string
  address: string
  uuid: string
  clusterId: string
  isUp: boolean
}
export type SimulatedMachine = {
  id: string
  /** Small number, unique in the data centre, for platforms that count. */
  number: number
  /** Letters, digits and dashes only. */
  name: string
  /** What people call it; half of them in Chinese. */
  title: string
  kind: 'machine' | 'container' | 'template'
  /** Where it runs, or would run. */
  hostId: string
  migratingToId: string | null
  power: 'on' | 'off'
  uuid: string
  macs: string[]
  addresses: string[]
  os: 'linux' | 'windows'
  datastore: string
  /** What it was copied from, and how. */
  parent: { id: string; kind: 'linked' | 'full' } | null
  /** Seconds since 1970; copies keep that of their source, as on Proxmox VE. */
  createdAt: number
}
export type JournalKind =
  | 'migration-started'
  | 'migration-done'
  | 'cloned'
  | 'removed'
  | 'started'
  | 'stopped'
  | 'template-made'
  | 'host-changed'
/** What happened, oldest first; `index` only grows. */
export type JournalEntry = {
  index: number
  atMs: number
  kind: JournalKind
  machineId: string | null
  machineTitle: string
  hostId: string | null
  sourceId: string | null
}

export type DataCentre = {
  name: string
  clusters: SimulatedCluster[]
  hosts: SimulatedHost[]
  machines: Map<string, SimulatedMachine>
  journal: JournalEntry[]
  /** Begins a live migration; `finishMigration` or a later `tick` ends it. */
  startMigration: (machineId: string, toHostId: string) => void
  finishMigration: (machineId: string) => void
  setPower: (machineId: string, power: 'on' | 'off') => void
  setHostUp: (hostId: string, isUp: boolean) => void
  clone: (sourceId: string, kind: 'linked' | 'full') => SimulatedMachine
  makeTemplate: (machineId: string) => void
  remove: (machineId: string) => void
  /** Two machines with one SMBIOS uuid and one MAC, as careless copies have. */
  giveIdentity: (fromId: string, toId: string) => void
  /** Lets time pass: ends migrations that took long enough, and begins new ones now and then. */
  tick: (nowMs: number) => void
}

const migrationMs = 8_000
const maxJournal = 10_000

export function createDataCentre(options: {
  seed: number
  name?: string
  clusters?: number
  hosts?: number
  /** Without the templates. */
  machines?: number
  /** How many of the machines are containers. */
  containers?: number
  nowMs?: number
  migrationsPerMinute?: number
}): DataCentre {
  const { seed, name = 'demo', migrationsPerMinute = 6 } = options
  const random = createRandom(seed)
  let nowMs = options.nowMs ?? Date.now()
  const clusters = Array.from({ length: options.clusters ?? 2 }, (_, index) => ({
    id: random.uuid(),
    name: `demo-cluster-${index + 1}`,
  }))
  const hosts = Array.from({ length: options.hosts ?? 20 }, (_, index): SimulatedHost => {
    const number = String(index + 1).padStart(2, '0')
    return {
      id: random.uuid(),
      name: `demo-host-${number}`,
      address: `10.18.${seed & 0xff}.${index + 1}`,
      uuid: random.uuid(),
      clusterId: clusters[index % clusters.length]?.id ?? '',
      isUp: true,
    }
  })
  const machines = new Map<string, SimulatedMachine>()
  const journal: JournalEntry[] = []
  const migrationEndsMs = new Map<string, number>()
  let lastNumber = 99
  let lastIndex = 0
  let migrationsDue = 0

  function note(
    kind: JournalKind,
    machine: SimulatedMachine | null,
    hostId: string | null,
    sourceId: string | null = null,
  ) {
    lastIndex += 1
    journal.push({
      index: lastIndex,
      atMs: nowMs,
      kind,
      machineId: machine?.id ?? null,
      machineTitle: machine?.title ?? '',
      hostId,
      sourceId,
    })
    if (journal.length > maxJournal) journal.splice(0, journal.length - maxJournal)
  }

  function add(
    facts: Pick<SimulatedMachine, 'name' | 'title' | 'kind' | 'os' | 'parent'> & { createdAt?: number },
  ) {
    lastNumber += 1
    const number = lastNumber
    const machine: SimulatedMachine = {
      ...facts,
      id: random.uuid(),
      number,
      hostId: hosts[random.below(hosts.length)]?.id ?? '',
      migratingToId: null,
      power: facts.kind === 'template' || random.below(8) === 0 ? 'off' : 'on',
      uuid: random.uuid(),
      macs: [macOf(seed, number)],
      addresses: [`10.19.${(seed * 4 + (number >> 8)) & 0xff}.${number & 0xff}`],
      datastore: random.pick(datastores),
      createdAt: facts.createdAt ?? Math.floor(nowMs / 1000) - random.below(300 * 86_400),
    }
    machines.set(machine.id, machine)
    return machine
  }

  const templates = templateKinds.map(([slug, title, os]) =>
    add({ name: `demo-template-${slug}`, title: `演示模板 ${title}`, kind: 'template', os, parent: null }),
  )
  const machineCount = options.machines ?? 500
  for (let index = 0; index < machineCount; index += 1)
    addMachine(index < (options.containers ?? 0) ? 'container' : 'machine', index)

  function addMachine(kind: 'machine' | 'container', index: number): void {
    const names = nameOf(random, index)
    const template = templates[random.below(templates.length)]
    const chance = random.below(10)
    if (kind === 'container' || template === undefined || chance >= 8) {
      add({
        ...names,
        kind,
        os: kind === 'container' ? 'linux' : random.pick(['linux', 'windows']),
        parent: null,
      })
      return
    }
    const parent = { id: template.id, kind: chance < 6 ? ('linked' as const) : ('full' as const) }
    const machine = add({ ...names, kind, os: template.os, parent, createdAt: template.createdAt })
    if (parent.kind === 'linked') machine.datastore = template.datastore
    note('cloned', machine, machine.hostId, template.id)
  }

  function machineOf(id: string): SimulatedMachine {
    const machine = machines.get(id)
    if (machine === undefined) throw new RangeError(`there is no machine ${id}`)
    return machine
  }

  function startMigration(machineId: string, toHostId: string): void {
    const machine = machineOf(machineId)
    machine.migratingToId = toHostId
    migrationEndsMs.set(machineId, nowMs + migrationMs)
    note('migration-started', machine, machine.hostId)
  }

  function finishMigration(machineId: string): void {
    const machine = machineOf(machineId)
    if (machine.migratingToId === null) return
    machine.hostId = machine.migratingToId
    machine.migratingToId = null
    migrationEndsMs.delete(machineId)
    note('migration-done', machine, machine.hostId)
  }

  function startSomeMigration(): void {
    const running = [...machines.values()].filter(
      ({ power, kind, migratingToId }) => kind === 'machine' && power === 'on' && migratingToId === null,
    )
    const machine = running[random.below(Math.max(1, running.length))]
    const home = hosts.find(({ id }) => id === machine?.hostId)
    const others = hosts.filter(
      ({ id, isUp, clusterId }) => isUp && clusterId === home?.clusterId && id !== home?.id,
    )
    const target = others[random.below(Math.max(1, others.length))]
    if (machine !== undefined && target !== undefined) startMigration(machine.id, target.id)
  }

  return {
    name,
    clusters,
    hosts,
    machines,
    journal,
    startMigration,
    finishMigration,
    setPower: (machineId, power) => {
      const machine = machineOf(machineId)
      machine.power = power
      note(power === 'on' ? 'started' : 'stopped', machine, machine.hostId)
    },
    setHostUp: (hostId, isUp) => {
      const host = hosts.find(({ id }) => id === hostId)
      if (host === undefined) throw new RangeError(`there is no host ${hostId}`)
      host.isUp = isUp
      note('host-changed', null, hostId)
    },
    clone: (sourceId, kind) => {
      const source = machineOf(sourceId)
      const { os, createdAt } = source
      const facts = {
        name: `${source.name}-copy`,
        title: `${source.title}-副本`,
        kind: 'machine' as const,
        os,
        createdAt,
      }
      const machine = add({ ...facts, parent: { id: sourceId, kind } })
      if (kind === 'linked') machine.datastore = source.datastore
      note('cloned', machine, machine.hostId, sourceId)
      return machine
    },
    makeTemplate: (machineId) => {
      const machine = machineOf(machineId)
      machine.kind = 'template'
      machine.power = 'off'
      note('template-made', machine, machine.hostId)
    },
    remove: (machineId) => {
      const machine = machineOf(machineId)
      machines.delete(machineId)
      migrationEndsMs.delete(machineId)
      note('removed', machine, machine.hostId)
    },
    giveIdentity: (fromId, toId) => {
      const from = machineOf(fromId)
      Object.assign(machineOf(toId), { uuid: from.uuid, macs: [...from.macs] })
    },
    tick: (toMs) => {
      migrationsDue += (Math.max(0, toMs - nowMs) / 60_000) * migrationsPerMinute
      nowMs = Math.max(nowMs, toMs)
      for (const [machineId, endMs] of migrationEndsMs) if (endMs <= nowMs) finishMigration(machineId)
      for (; migrationsDue >= 1; migrationsDue -= 1) startSomeMigration()
    },
  }
}

/** Locally administered, so that it meets no real card. */
function macOf(seed: number, number: number): string {
  const bytes = [0x02, 0x52, seed & 0xff, (number >> 16) & 0xff, (number >> 8) & 0xff, number & 0xff]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
