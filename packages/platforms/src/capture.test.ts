import type { PlatformCredentials } from '@ringwall/contracts'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { capture, captureSchema } from './capture.ts'
import { ovirt } from './ovirt/ovirt.ts'
import { proxmox } from './proxmox/proxmox.ts'
import { createSanitiser } from './sanitise.ts'
import { startOvirtSimulator } from './simulators/ovirt.ts'
import { startProxmoxSimulator } from './simulators/proxmox.ts'
import { startReplayServer } from './simulators/replay.ts'
import { createDataCentre, type DataCentre } from './simulators/state.ts'
import { never, openConnector, optionsFor, testPassword } from './testing/connect.ts'
import type { ConnectorDefinition, Inventory } from './types.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const dataCentre = (machines: number) =>
  createDataCentre({ seed: 3, name: 'nanjing-hospital', clusters: 2, hosts: 4, machines })

function identifying(centre: DataCentre): string[] {
  const machines = [...centre.machines.values()]
  return [
    centre.name,
    ...centre.hosts.flatMap(({ name, address, uuid, id }) => [name, address, uuid, id]),
    ...machines.flatMap(({ name, title, macs, addresses, uuid, id }) => [
      name,
      title,
      uuid,
      id,
      ...macs,
      ...addresses,
    ]),
  ]
}

/** What must be the same in a capture, whatever the things are called. */
function shapeOf(inventory: Inventory) {
  const machines = inventory.machines.map((machine) =>
    JSON.stringify([
      machine.isTemplate,
      machine.power,
      machine.hostRef !== null,
      machine.macs.length,
      machine.addresses.length,
      machine.guestOs,
      machine.parent?.kind ?? null,
      inventory.machines.findIndex(({ ref }) => ref === machine.parent?.ref) >= 0,
    ]),
  )
  return { clusters: inventory.clusters.length, hosts: inventory.hosts.length, machines: machines.sort() }
}

async function roundTrip(
  definition: ConnectorDefinition,
  simulator: { address: string; fingerprint: string },
  credentials: PlatformCredentials,
  centre: DataCentre,
): Promise<void> {
  const secrets = credentials.kind === 'token' ? [credentials.secret, credentials.tokenId] : [testPassword]
  const document = await capture(definition, optionsFor(simulator, credentials), never)
  expect(document).toMatchObject({
    format: 'ringwall-platform-capture',
    kind: definition.kind,
    failure: null,
  })
  const text = JSON.stringify(document)
  expect(captureSchema.parse(JSON.parse(text))).toEqual(document)
  for (const secret of [
    ...secrets,
    'PVEAuthCookie',
    'PVEAPIToken',
    'Bearer',
    'access_token',
    ...identifying(centre),
  ])
    expect(text.includes(secret), secret).toBe(false)

  const server = await startReplayServer(document)
  closing.push(server.close)
  await using real = openConnector(definition, simulator, credentials)
  await using replayed = openConnector(definition, server, credentials)
  expect(await replayed.check(never)).toMatchObject({
    product: document.product,
    version: document.productVersion,
  })
  expect(shapeOf(await replayed.list(never))).toEqual(shapeOf(await real.list(never)))
}

describe('capture', () => {
  it('records Proxmox VE so that the connector reads the same from it, and nothing tells whose it is', async () => {
    const centre = dataCentre(40)
    const token = { tokenId: 'chief.wang@pve!ringwall', secret: '6e1f6b9c-1111-4222-8333-5d1f0c0ffee0' }
    const simulator = await startProxmoxSimulator({ dataCentre: centre, password: testPassword, token })
    closing.push(simulator.close)
    await roundTrip(proxmox, simulator, { kind: 'token', ...token }, centre)
    await roundTrip(
      proxmox,
      simulator,
      { kind: 'password', username: 'demo@pve', password: testPassword },
      centre,
    )
  })

  it('records oVirt so that the connector reads the same from it, and nothing tells whose it is', async () => {
    const centre = dataCentre(120)
    const simulator = await startOvirtSimulator({ dataCentre: centre, password: testPassword })
    closing.push(simulator.close)
    await roundTrip(
      ovirt,
      simulator,
      { kind: 'password', username: 'admin@internal', password: testPassword },
      centre,
    )
  })

  it('keeps what a platform answered before it failed, and drops what cannot be read', async () => {
    const centre = dataCentre(20)
    const simulator = await startProxmoxSimulator({ dataCentre: centre, password: testPassword })
    closing.push(simulator.close)
    simulator.inject({ kind: 'truncate', match: /\/cluster\/resources/, times: 1 })
    const credentials: PlatformCredentials = {
      kind: 'password',
      username: 'demo@pve',
      password: testPassword,
    }
    const document = await capture(proxmox, optionsFor(simulator, credentials), never)
    expect(document).toMatchObject({
      product: 'Proxmox VE',
      counts: null,
      failure: { code: 'platform_answer_invalid' },
    })
    const resources = document.exchanges.find(({ request }) => request.endsWith('/cluster/resources'))
    expect(resources?.body).toMatch(/^\[unreadable, \d+ bytes\]$/)
    for (const word of identifying(centre)) expect(JSON.stringify(document).includes(word), word).toBe(false)
  })
})

describe('sanitising', () => {
  const create = (key = 1) =>
    createSanitiser({
      key: Buffer.alloc(32, key),
      names: ['财务-应用-01', 'web-1', 'node7', 'R&D <lab>'],
      secrets: ['p&ss word'],
      nameFields: new Set(['name', 'node']),
      keep: new Set(['oVirt Engine']),
    })

  it('takes planted secrets out, wherever and however they are written', () => {
    const { body, text } = create()
    const planted = {
      password: 'a1',
      nested: [{ 'api-token': 'b2', CSRFPreventionToken: 'c3', sshkeys: 'd4', cipassword: 'e5' }],
      url: 'https://x/?p=p%26ss%20word',
      form: 'password=p%26ss+word',
      basic: Buffer.from('p&ss word').toString('base64'),
      plain: 'it is p&ss word',
      description: 'the root password is f6',
    }
    const json = body(JSON.stringify(planted))
    const xml = body(
      '<a token="a1"><!-- b2 --><password>c3</password><t><![CDATA[p&ss word]]></t><comment>d4</comment><u>p&amp;ss word</u></a>',
    )
    for (const secret of [
      'a1',
      'b2',
      'c3',
      'd4',
      'e5',
      'f6',
      'ss word',
      'ss%20word',
      'ss+word',
      planted.basic,
    ])
      expect((json + xml).includes(secret), secret).toBe(false)
    expect(text('GET /x?password=p%26ss%20word')).toBe('GET /x?password=[secret]')
  })

  it('finds names as whole words, in Chinese text too, and gives each the same pseudonym everywhere', () => {
    const { body, text } = create()
    const pseudonym = text('web-1')
    expect(text('/nodes/web-1/x web-10 aweb-1 web-1.')).toBe(
      `/nodes/${pseudonym}/x web-10 aweb-1 ${pseudonym}.`,
    )
    expect(text('虚拟机财务-应用-01已迁移')).toMatch(/^虚拟机name-[0-9a-f]{10}已迁移$/)
    expect(text(encodeURIComponent('财务-应用-01'))).toBe(text('财务-应用-01'))
    expect(body('<vm><name>R&amp;D &lt;lab&gt;</name></vm>')).toMatch(
      /^<vm><name>name-[0-9a-f]{10}<\/name><\/vm>$/,
    )
    expect(JSON.parse(body('{"name":"unknown-1","id":"node/unknown-1","status":"node7"}'))).toMatchObject({
      status: 'node7',
    })
    expect(body('<web-1 web-1="x" "web-1"><a/></web-1>')).not.toContain('web-1')
    expect(create(2).text('web-1')).not.toBe(pseudonym)
  })

  it('keeps the form of uuids, MACs and addresses', () => {
    const { text } = create()
    const uuid = 'F99C0A2D-0B93-4795-92BC-6EFA08506B25'
    expect(text(uuid)).toMatch(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
    expect(text(uuid.toLowerCase())).toBe(text(uuid).toLowerCase())
    expect(text('00000000-0000-0000-0000-000000000000')).toBe('00000000-0000-0000-0000-000000000000')
    expect(text('virtio=BC:24:11:E2:9F:14,bridge=vmbr0')).toMatch(/^virtio=02(:[0-9A-F]{2}){5},bridge=vmbr0$/)
    expect(text('bc:24:11:e2:9f:14').toUpperCase()).toBe(text('BC:24:11:E2:9F:14'))
    expect(text('10.1.2.3/24 127.0.0.1 version 9.1.5')).toMatch(
      /^198\.1[89]\.\d+\.\d+\/24 127\.0\.0\.1 version 9\.1\.5$/,
    )
    expect(text('at fe80::21a:4aff:fe16:157 12:30:45')).toMatch(/^at 2001:db8:[0-9a-f:]+ 12:30:45$/)
    expect(text('root@pam')).toMatch(/^user-[0-9a-f]{8}@demo$/)
  })

  it('takes any document, and leaves none of a planted name', () => {
    const { body } = create()
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, key) => {
        const clean = body(JSON.stringify({ [key]: value, planted: ['web-1'] }))
        expect(clean).not.toMatch(/(?<!\w)web-1(?!\w)/)
      }),
    )
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('<', '>', '/', 'a', '"', '=', ' ', '&', ';', '!', '-', '[', 'web-1'),
        }),
        (text) => {
          expect(body(`<${text}`)).not.toMatch(/(?<!\w)web-1(?!\w)/)
        },
      ),
    )
  })
})
