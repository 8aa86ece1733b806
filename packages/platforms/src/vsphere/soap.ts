import { AppError } from '@ringwall/contracts'
import type { PinnedHttp } from '../http.ts'
import { childOf, createXmlReader, escapeXml, textOf, type XmlElement } from '../xml.ts'

/** A managed object: its type and its id, e.g. `VirtualMachine` `vm-48`. Ids are unique within one server. */
export type ManagedObject = { type: string; id: string }

/** A fault that the server answered. Unless somebody handles it, it is an answer nobody expected. */
export class SoapFault extends AppError {
  /** Name of the vim25 fault, e.g. `NotAuthenticated`; empty for faults of the transport. */
  readonly fault: string

  constructor(fault: string, params: { address: string; request: string; reason: string }) {
    super('platform_answer_invalid', params)
    this.fault = fault
  }
}

export type SoapCall = {
  method: string
  on: ManagedObject
  /** XML of the arguments, escaped. */
  body?: string
  signal: AbortSignal
  timeoutMs?: number
  /** Elements of this name go to `onElement` one by one and are not in the answer. */
  handOut?: string
  onElement?: (element: XmlElement) => void
  /** Starts a session: goes without the cookie of the last one, and stays out of recordings as it carries a password. */
  isSignIn?: boolean
}

/** `call` answers with the `…Response` element. Errors: those of the pinned HTTP, platform_answer_invalid (SoapFault). */
export type Soap = { address: string; call: (call: SoapCall) => Promise<XmlElement> }

/** The vim25 API over SOAP 1.1 with the session cookie (vSphere Web Services SDK). */
export function createSoap(options: { http: PinnedHttp; address: string }): Soap {
  const { http, address } = options
  let cookie: string | undefined

  return {
    address,
    call: async ({ method, on, body = '', signal, timeoutMs = 120_000, handOut, onElement, isSignIn }) => {
      const invalid = (reason: string, cause?: unknown) =>
        new AppError('platform_answer_invalid', { address, request: method, reason }, { cause })
      const reader = createXmlReader({
        ...(handOut === undefined ? {} : { handOut }),
        ...(onElement === undefined ? {} : { onElement }),
      })
      const read = <T>(work: () => T): T => {
        try {
          return work()
        } catch (error) {
          throw error instanceof AppError ? error : invalid(`XML: ${reasonOf(error)}`, error)
        }
      }
      const { headers } = await http.send({
        method: 'POST',
        path: '/sdk',
        headers: {
          'content-type': 'text/xml; charset=utf-8',
          soapaction: 'urn:vim25/6.5',
          ...(cookie === undefined || isSignIn ? {} : { cookie }),
        },
        body: envelope(`<${method} xmlns="urn:vim25">${refXml('_this', on)}${body}</${method}>`),
        timeoutMs,
        signal,
        recordAs: isSignIn === true ? null : method,
        consume: (text, status) => {
          // Faults come with 500; everything else is not from the API, but from something in front of it.
          if (status !== 200 && status !== 500) throw invalid(`HTTP ${status}`)
          read(() => reader.write(text))
        },
      })
      const set = headers['set-cookie']?.find((value) => value.startsWith('vmware_soap_session='))
      if (set !== undefined) cookie = set.split(';', 1)[0]

      const answer = childOf(read(reader.end), 'Body')?.children[0]
      if (answer?.name === 'Fault') throw toFault(answer, { address, request: method })
      if (answer?.name !== `${method}Response`) throw invalid(`<${answer?.name ?? 'nothing'}>`)
      return answer
    },
  }
}

function toFault(fault: XmlElement, where: { address: string; request: string }): SoapFault {
  const detail = childOf(fault, 'detail')?.children[0]
  const name = typeOf(detail) ?? detail?.name.replace(/Fault$/, '') ?? ''
  const text = textOf(fault, 'faultstring') ?? ''
  return new SoapFault(name, { ...where, reason: [name, text].filter((part) => part !== '').join(': ') })
}

function envelope(body: string): string {
  return (
    '<?xml version="1.0" encoding="UTF-8"?>' +
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"' +
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">' +
    `<soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`
  )
}

/** `<name type="VirtualMachine">vm-48</name>`. */
export function refXml(name: string, { type, id }: ManagedObject): string {
  return `<${name} type="${escapeXml(type)}">${escapeXml(id)}</${name}>`
}

/** The managed object that an element refers to; undefined where it refers to none. */
export function toRef(element: XmlElement | undefined): ManagedObject | undefined {
  const type = element?.attributes.type
  if (type === undefined || element === undefined || element.text === '') return undefined
  return { type, id: element.text }
}

/** The vim25 type that an element says to have (`xsi:type` without its prefix), e.g. `VirtualDisk`. */
export function typeOf(element: XmlElement | undefined): string | undefined {
  return element?.attributes['xsi:type']?.replace(/^.*:/, '')
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
