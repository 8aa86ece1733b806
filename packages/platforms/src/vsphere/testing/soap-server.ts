import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createCa, silentLogger, systemClock } from '@ringwall/runtime'
import type { Recorder } from '../../recorder.ts'
import type { Connector } from '../../types.ts'
import { vsphere } from '../vsphere.ts'

/** What a request is answered with: a whole document, the inside of a `…Response`, or another HTTP answer. */
export type SoapAnswer =
  | { xml: string }
  | { response: string }
  | { fault: string }
  | { status: number; body: string }
export type SoapHandler = (request: string) => SoapAnswer | undefined

const envelope = (body: string) =>
  '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"' +
  ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`

/** Answers of a server that has the one session and nothing in it. */
export const emptyServer: Record<string, SoapHandler> = {
  RetrieveServiceContent: () => ({
    response:
      '<returnval><rootFolder type="Folder">ha-folder-root</rootFolder>' +
      '<propertyCollector type="PropertyCollector">ha-property-collector</propertyCollector>' +
      '<viewManager type="ViewManager">ViewManager</viewManager>' +
      '<about><name>VMware ESXi</name><version>8.0.2</version><apiType>HostAgent</apiType></about>' +
      '<sessionManager type="SessionManager">ha-sessionmgr</sessionManager></returnval>',
  }),
  Login: () => ({ response: '<returnval><key>k</key></returnval>' }),
  Logout: () => ({ response: '' }),
  CreateContainerView: () => ({ response: '<returnval type="ContainerView">view</returnval>' }),
  CreatePropertyCollector: () => ({ response: '<returnval type="PropertyCollector">own</returnval>' }),
  CreateFilter: () => ({ response: '<returnval type="PropertyFilter">filter</returnval>' }),
  WaitForUpdatesEx: () => ({ response: '' }),
  CancelWaitForUpdates: () => ({ response: '' }),
  DestroyPropertyCollector: () => ({ response: '' }),
  DestroyView: () => ({ response: '' }),
}

/** A server on TLS that answers as told, a connector for it, and the methods that were called. */
export async function startSoapServer(
  handlers: Record<string, SoapHandler>,
  recorder?: Recorder,
): Promise<{
  connector: Connector
  calls: string[]
  stop: () => Promise<void>
}> {
  const { certificatePem, keyPem } = await createCa({ commonName: 'vcenter', days: 1 })
  const calls: string[] = []
  const server = createServer({ cert: certificatePem, key: keyPem }, async (request, response) => {
    let text = ''
    for await (const part of request) text += part
    const method = /Body><(\w+)/.exec(text)?.[1] ?? ''
    calls.push(method)
    const answer = handlers[method]?.(text) ?? { fault: 'NotSupported' }
    if (method === 'Login') response.setHeader('set-cookie', 'vmware_soap_session="s"; Path=/; HttpOnly')
    if ('status' in answer) return response.writeHead(answer.status).end(answer.body)
    if ('xml' in answer) return response.end(answer.xml)
    if ('response' in answer)
      return response.end(
        envelope(`<${method}Response xmlns="urn:vim25">${answer.response}</${method}Response>`),
      )
    const fault =
      `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no</faultstring><detail>` +
      `<${answer.fault}Fault xmlns="urn:vim25" xsi:type="${answer.fault}"/></detail></soapenv:Fault>`
    return response.writeHead(500).end(envelope(fault))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const fingerprint = await vsphere.fingerprint(address, new AbortController().signal)
  const connector = vsphere.open({
    address,
    fingerprint: fingerprint ?? undefined,
    credentials: { kind: 'password', username: 'reader', password: 'secret' },
    requestsPerSecond: 1000,
    clock: systemClock,
    logger: silentLogger,
    recorder,
  })
  return {
    connector,
    calls,
    stop: async () => {
      await connector.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
