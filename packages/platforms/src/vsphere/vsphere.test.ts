import { afterEach, describe, expect, it } from 'vitest'
import type { Exchange } from '../recorder.ts'
import type { Change } from '../types.ts'
import { emptyServer, type SoapHandler, startSoapServer } from './testing/soap-server.ts'

let stop: (() => Promise<void>) | undefined
afterEach(async () => {
  await stop?.()
  stop = undefined
})

async function start(handlers: Record<string, SoapHandler>) {
  const server = await startSoapServer({ ...emptyServer, ...handlers })
  stop = server.stop
  return server
}
const signal = () => new AbortController().signal

/** A page of updates with machines that enter. */
const page = (version: string, refs: string[], isTruncated = false) =>
  `<returnval><version>${version}</version><filterSet><filter type="PropertyFilter">f</filter>${refs
    .map((ref) => `<objectSet><kind>enter</kind><obj type="VirtualMachine">${ref}</obj></objectSet>`)
    .join('')}</filterSet>${isTruncated ? '<truncated>true</truncated>' : ''}</returnval>`
const versionIn = (request: string) => /<version>([^<]*)</.exec(request)?.[1]

describe('a list', () => {
  it('is complete over all pages', async () => {
    const { connector } = await start({
      WaitForUpdatesEx: (request) => ({
        response: versionIn(request) === '' ? page('1', ['vm-1'], true) : page('2', ['vm-2']),
      }),
    })
    const { machines } = await connector.list(signal())
    expect(machines.map(({ ref }) => ref)).toEqual(['vm-1', 'vm-2'])
  })

  it.each<[string, ReturnType<SoapHandler>, string, string]>([
    ['a fault', { fault: 'InvalidCollectorVersion' }, 'platform_answer_invalid', 'InvalidCollectorVersion'],
    ['a missing right', { fault: 'NoPermission' }, 'platform_permission', 'reader'],
    ['a page cut short', { xml: '<a><b>' }, 'platform_answer_invalid', 'XML: unclosed tag'],
    ['a document type', { xml: '<!DOCTYPE a><a/>' }, 'platform_answer_invalid', 'document type'],
    ['a page of something else', { status: 503, body: '<html>' }, 'platform_answer_invalid', 'HTTP 503'],
    ['another answer', { xml: '<a><Body><b/></Body></a>' }, 'platform_answer_invalid', '<b>'],
    [
      'an object without a reference',
      { response: '<returnval><filterSet><objectSet><kind>enter</kind></objectSet></filterSet></returnval>' },
      'platform_answer_invalid',
      'objectSet',
    ],
  ])('fails as a whole for %s on the second page', async (_, answer, code, reason) => {
    const { connector, calls } = await start({
      WaitForUpdatesEx: (request) =>
        versionIn(request) === '' ? { response: page('1', ['vm-1'], true) } : answer,
    })
    await expect(connector.list(signal())).rejects.toMatchObject({
      code,
      message: expect.stringContaining(reason),
    })
    expect(calls).toContain('DestroyPropertyCollector')
  })
})

describe('a session', () => {
  it('is renewed once when it is gone', async () => {
    let isExpired = true
    const { connector, calls } = await start({
      CreateContainerView: () => {
        if (!isExpired) return { response: '<returnval type="ContainerView">view</returnval>' }
        isExpired = false
        return { fault: 'NotAuthenticated' }
      },
    })
    await connector.list(signal())
    expect(calls.filter((call) => call === 'Login')).toHaveLength(2)
  })

  it('is not tried for ever', async () => {
    const { connector, calls } = await start({ CreateContainerView: () => ({ fault: 'NotAuthenticated' }) })
    await expect(connector.list(signal())).rejects.toMatchObject({ code: 'platform_answer_invalid' })
    expect(calls.filter((call) => call === 'Login')).toHaveLength(2)
  })

  it('lost in a long poll makes a resync, and the watch goes on', async () => {
    let polls = 0
    const { connector } = await start({
      WaitForUpdatesEx: (request) => {
        if (versionIn(request) === '') return { response: page('1', ['vm-1']) }
        polls += 1
        return polls === 1 ? { fault: 'NotAuthenticated' } : { response: page('2', ['vm-2']) }
      },
    })
    await connector.list(signal())
    const changes: Change[] = []
    for await (const batch of connector.watch(signal())) {
      changes.push(...batch)
      if (changes.length >= 2) break
    }
    expect(changes).toMatchObject([
      { type: 'resync', reason: 'the session ended' },
      { type: 'machine', machine: { ref: 'vm-2' } },
    ])
  })

  it('lost every time ends the watch with the error', async () => {
    const { connector } = await start({
      WaitForUpdatesEx: (request) =>
        versionIn(request) === '' ? { response: page('1', ['vm-1']) } : { fault: 'NotAuthenticated' },
    })
    const watchAll = async () => {
      for await (const _ of connector.watch(signal()));
    }
    await expect(watchAll()).rejects.toMatchObject({ fault: 'NotAuthenticated' })
  })
})

describe('a watch', () => {
  it('that nothing was listed for begins with a resync, ends with its signal and cleans up', async () => {
    const { connector, calls } = await start({})
    const stopping = new AbortController()
    const changes: Change[] = []
    for await (const batch of connector.watch(stopping.signal)) {
      changes.push(...batch)
      stopping.abort()
    }
    expect(changes).toEqual([{ type: 'resync', reason: 'what happened before this watch is not known' }])
    expect(calls.slice(-3)).toEqual(['CancelWaitForUpdates', 'DestroyPropertyCollector', 'DestroyView'])
  })
})

describe('a recording', () => {
  it('has the answers as they came, and no sign-in', async () => {
    const exchanges: Exchange[] = []
    const { connector, stop: stopServer } = await startSoapServer(
      { ...emptyServer, WaitForUpdatesEx: () => ({ response: page('1', ['vm-1']) }) },
      { record: (exchange) => exchanges.push(exchange) },
    )
    stop = stopServer
    expect((await connector.list(signal())).machines).toHaveLength(1)
    expect(exchanges.map(({ request }) => request)).toEqual([
      'RetrieveServiceContent',
      'CreateContainerView',
      'CreatePropertyCollector',
      'CreateFilter',
      'WaitForUpdatesEx',
    ])
    expect(exchanges.at(-1)).toMatchObject({
      status: 200,
      body: expect.stringContaining(page('1', ['vm-1'])),
    })
  })
})

describe('a check', () => {
  it('tells what answers, and what it cannot tell', async () => {
    const { connector } = await start({})
    expect(await connector.check(signal())).toMatchObject({
      product: 'VMware ESXi',
      version: '8.0.2',
      instanceId: null,
      warnings: [
        { code: 'hosts_hidden', params: { role: 'Read-only' } },
        { code: 'single_host', params: { product: 'ESXi' } },
      ],
    })
  })

  it('refuses a wrong account', async () => {
    const { connector } = await start({ Login: () => ({ fault: 'InvalidLogin' }) })
    await expect(connector.check(signal())).rejects.toMatchObject({
      code: 'platform_login_failed',
      params: { account: 'reader' },
    })
  })
})
