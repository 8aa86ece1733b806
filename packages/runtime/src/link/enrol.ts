import { request } from 'node:https'
import {
  AppError,
  type EnrolRequest,
  type EnrolResponse,
  type ErrorCode,
  enrolResponseSchema,
  errorCatalog,
  problemSchema,
} from '@ringwall/contracts'
import { createCsr, generateKeyPem, identityUri } from '../pki.ts'
import { connectPinned, serverIdentityCheck, tlsErrorToAppError } from '../tls.ts'
import { createIdentity, hasIdentity, openIdentity } from './identity-store.ts'

const timeoutMs = 30_000
const maxAnswerBytes = 64 * 1024

/** `host:port` as its parts; IPv6 hosts in brackets. Throws config_invalid. */
export function parseAddress(text: string, defaultPort: number): { host: string; port: number } {
  const match = /^(?:https?:\/\/)?(\[[^\]]+\]|[^:/\s]+)(?::(\d{1,5}))?\/?$/.exec(text.trim())
  const port = Number(match?.[2] ?? defaultPort)
  if (match?.[1] === undefined || port < 1 || port > 65_535)
    throw new AppError('config_invalid', { problems: `${text} is not host:port` })
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}

type Target = { host: string; port: number; caPem: string }

/** POSTs JSON to the center's gateway, trusting only `caPem` and the name urn:ringwall:center. */
function post({ host, port, caPem }: Target, path: string, body: unknown): Promise<unknown> {
  const address = `${host}:${port}`
  const text = JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const call = request({
      host,
      port,
      path,
      method: 'POST',
      ca: caPem,
      checkServerIdentity: serverIdentityCheck(identityUri('center')),
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      timeout: timeoutMs,
    })
    call.on('timeout', () => call.destroy(new AppError('timeout', { what: address, timeoutMs })))
    call.on('error', (error) => reject(tlsErrorToAppError(error, address)))
    call.on('response', (response) => {
      let answer = ''
      response.on('data', (chunk) => {
        answer += chunk
        if (answer.length > maxAnswerBytes)
          call.destroy(new AppError('message_too_large', { maxBytes: maxAnswerBytes }))
      })
      response.on('end', () => {
        try {
          const value: unknown = JSON.parse(answer)
          if (response.statusCode === 200) return resolve(value)
          const problem = problemSchema.parse(value)
          reject(
            new AppError(problem.code in errorCatalog ? (problem.code as ErrorCode) : 'unavailable', {
              what: address,
              ...problem.params,
            }),
          )
        } catch (cause) {
          reject(new AppError('unavailable', { what: address }, { cause }))
        }
      })
    })
    call.end(text)
  })
}

export type EnrolOptions = Pick<
  EnrolRequest,
  'role' | 'token' | 'softwareVersion' | 'facts' | 'addresses' | 'templateId'
> & {
  center: string
  caHash: string
  /** Where the identity goes. */
  dir: string
}

/**
 * Joins a center: learns its CA and compares the hash before anything secret is sent, makes a key that never
 * leaves this machine, trades the token for a certificate and keeps all of it in `dir`.
 */
export async function enrol(options: EnrolOptions): Promise<EnrolResponse> {
  const { role, token, softwareVersion, facts, addresses, templateId, dir } = options
  if (hasIdentity(dir))
    throw new AppError('already_enrolled', { role, id: openIdentity(dir).current().id, path: dir })
  const center = parseAddress(options.center, 8444)
  const caPem = await connectPinned({ ...center, caHash: options.caHash })
  const keyPem = generateKeyPem()
  const csrPem = await createCsr(keyPem, role)
  const body: EnrolRequest = {
    role,
    token,
    csrPem,
    softwareVersion,
    ...(facts ? { facts } : {}),
    ...(addresses ? { addresses } : {}),
    ...(templateId ? { templateId } : {}),
  }
  const response = enrolResponseSchema.parse(await post({ ...center, caPem }, '/enroll', body))
  createIdentity(dir, {
    role,
    id: response.id,
    keyPem,
    certificatePem: response.certificatePem,
    caPem: response.caPem,
    policyKeyPem: response.policyKeyPem,
    contentKeyPem: response.contentKeyPem,
    center,
    ratchet: '',
  })
  return response
}
