/** A manifest that somebody with its key forged, and a template with a file that turns out bad. */
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lookupCodes } from '@ringwall/contracts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  flagRacy,
  flagsAt,
  hashAt,
  payloadBytes,
  verdictAt,
} from '../../apps/agent/src/slices/malware/manifest/format.ts'
import { openManifestStore } from '../../apps/agent/src/slices/malware/manifest/store.ts'
import { createSite, eicar, type Json, ownContent, type Site, waitFor } from './harness.ts'

let site: Site
let contentDir: string
let golden: string

beforeAll(async () => {
  site = await createSite(ownContent)
  contentDir = join(site.root, 'content')
  await site.startScanner()
  golden = await site.startAgent('golden')
  await setPolicy(golden, { action: 'report', rehashSharePermille: 0 })
})
afterAll(async () => await site?.close())

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest()
const scan = async (machineId: string, folder: string) =>
  await site.endOf(await site.startScan(machineId, [folder]))
const rest = () => new Promise((resolve) => setTimeout(resolve, 2_500))

async function setPolicy(machineId: string, change: Json): Promise<void> {
  const { policy } = await site.get<{ policy: Json }>('/policies/malware')
  expect(await site.api('PUT', '/policies/malware', { ...policy, ...change })).toMatchObject({ status: 200 })
  await waitFor('the policy to arrive', async () => {
    const { machine } = await site.get<{ machine: Json }>(`/machines/${machineId}`)
    return machine.desiredVersion === machine.appliedVersion ? true : undefined
  })
}

/** Writes the manifests of an agent anew, with its own key: what an intruder who is root can do. */
function forge(name: string, change: (path: string, payload: Buffer) => void): void {
  const store = openManifestStore(join(site.homeOf(name), 'agent/manifest'))
  for (const [fsId, generation] of store.openAll()) {
    const { base: _, ...header } = generation.header
    const writer = store.begin(fsId, header)
    const cursor = generation.cursor()
    while (cursor.next()) {
      const payload = Buffer.from(cursor.bytes.subarray(cursor.payloadAt, cursor.payloadAt + payloadBytes))
      change(cursor.path.toString('utf8', 0, cursor.pathLength), payload)
      writer.add(cursor.path, cursor.pathLength, payload, 0)
    }
    store.commit(fsId, writer, generation.footer)
    generation.close()
  }
}

it('catches entries that were forged with the key of the manifest, within a few scans', async () => {
  const folder = join(site.root, 'forged')
  const good = 'as harmless as it was'
  const files = 600
  const forged = 20
  const maxScans = 8
  mkdirSync(folder)
  for (let index = 0; index < files; index += 1) writeFileSync(join(folder, `${index}`), `file ${index}`)
  for (let index = 0; index < forged; index += 1)
    writeFileSync(join(folder, `evil-${index}`), Buffer.concat([eicar, Buffer.from(' '.repeat(index))]))
  await rest()
  expect(await scan(golden, folder)).toMatchObject({ findings: forged })
  await site.running.get('golden')?.kill('SIGTERM')
  forge('golden', (path, payload) => {
    payload[flagsAt] = (payload[flagsAt] ?? 0) & ~flagRacy
    if (!path.startsWith(join(folder, 'evil-'))) return
    sha256(good).copy(payload, hashAt)
    payload[verdictAt] = lookupCodes.clean
  })
  await site.start('agent', 'golden')
  // The scanner knows the content that the forged entries name as clean.
  writeFileSync(join(site.root, 'good'), good)
  await scan(golden, join(site.root, 'good'))

  // Without a sample nobody would ever look.
  expect(await scan(golden, folder)).toMatchObject({ findings: 0, progress: { filesRehashed: 0 } })
  expect(await site.list('/alarms?kind=manifest.mismatch')).toEqual([])

  // One file in ten: twenty forged ones escape one scan with 12 %, eight with less than one in ten million.
  await setPolicy(golden, { rehashSharePermille: 100 })
  let scans = 0
  let found: Json = {}
  for (; found.findings !== forged && scans < maxScans; scans += 1) found = await scan(golden, folder)
  expect(found).toMatchObject({ findings: forged, progress: { filesJudged: files + forged } })
  process.stdout.write(`caught by scan ${scans} of at most ${maxScans}\n`)
  const alarms = await site.list('/alarms?kind=manifest.mismatch')
  expect(alarms).toMatchObject([{ severity: 'critical', machineId: golden }])
  const events = await site.list(`/machines/${golden}/events`)
  const ofScan = events.filter(({ body }) => (body as Json).scanId === found.id)
  expect(ofScan.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['manifest.mismatch', 'manifest.rebuilt']),
  )
  expect(ofScan.find(({ type }) => type === 'manifest.mismatch')?.body).toMatchObject({
    path: expect.stringContaining(join(folder, 'evil-')),
    recordedSha256: sha256(good).toString('hex'),
  })
  // What was made anew is right: the next one tells all of them, and nothing differs any more.
  expect(await scan(golden, folder)).toMatchObject({ findings: forged })
  expect((await site.list('/alarms?kind=manifest.mismatch')).map(({ count }) => count)).toEqual(
    alarms.map(({ count }) => count),
  )
})

it('names all clones of a template at once when a file of it turns out bad', async () => {
  const folder = join(site.root, 'image')
  const bytes = 'part of the golden image'
  const hash = sha256(bytes).toString('hex')
  mkdirSync(folder)
  writeFileSync(join(folder, 'tool'), bytes)
  const untilHeldBy = async (machines: number) =>
    await waitFor(`${machines} holders`, async () => {
      const { hash: known } = await site.get<{ hash: Json }>(`/hashes/${hash}`)
      return (known.holders as Json).machines === machines ? true : undefined
    })
  await scan(golden, folder)
  await untilHeldBy(1)
  await site.running.get('golden')?.kill('SIGKILL')
  const names = ['clone-a', 'clone-b', 'clone-c']
  for (const name of names) site.copyHome('golden', name)
  await site.start('agent', 'golden')
  await waitFor('the template', async () =>
    (await site.get<{ machine: Json }>(`/machines/${golden}`)).machine.linkState === 'online'
      ? true
      : undefined,
  )
  for (const name of names) await site.start('agent', name)
  const clones = await waitFor('the clones', async () => {
    const all = (await site.list('/machines')).filter(
      ({ lineage, linkState }) => lineage !== null && linkState === 'online',
    )
    return all.length === names.length ? all.map(({ id }) => String(id)).sort() : undefined
  })
  // One clone was never scanned, and told nothing.
  for (const id of clones.slice(1)) await scan(id, folder)
  await untilHeldBy(3)

  const listedAtMs = Date.now()
  appendFileSync(join(contentDir, 'hashes/eicar.txt'), `${hash} Found in the image\n`)
  const [alarm] = await waitFor('the alarm', async () => {
    const all = await site.list('/alarms?kind=template.infected')
    return all.length > 0 ? all : undefined
  })
  process.stdout.write(`named ${Date.now() - listedAtMs} ms after the list had it\n`)
  expect(alarm).toMatchObject({
    severity: 'critical',
    machineId: golden,
    params: { sha256: hash, path: join(folder, 'tool'), clones: 3, infected: 2 },
  })
  const [finding] = await site.list(`/findings?machineId=${golden}&sha256=${hash}`)
  const { finding: detail } = await site.get<{ finding: Json }>(`/findings/${String(finding?.id)}`)
  const named = detail.clonesWithSameContent as { machines: { id: string }[]; untold: number }
  expect(named.machines.map(({ id }) => id).sort()).toEqual(clones.slice(1))
  expect(named.untold).toBe(1)
  // No machine was scanned for it.
  expect(readdirSync(folder)).toEqual(['tool'])
  expect((await site.list(`/findings?sha256=${hash}`)).every(({ scanId }) => scanId === null)).toBe(true)
})
