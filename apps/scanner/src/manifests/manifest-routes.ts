import { verify, X509Certificate } from 'node:crypto'
import { createReadStream, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import {
  AppError,
  manifestHeaders,
  manifestLimits,
  manifestMatchSchema,
  manifestSampleSchema,
} from '@ringwall/contracts'
import { announcedBytes, readBody, streamBody } from '../http/body.ts'
import type { ManifestStore } from './manifest-store.ts'

const maxMatchBytes = 8 * 1024
const maxReceiving = 4

type Call = {
  request: IncomingMessage
  response: ServerResponse
  url: URL
  holder: string
  certificatePem: () => string
}

/** The routes of manifests; see contracts/malware/scanner.ts. */
export function createManifestRoutes(store: ManifestStore, nowMs: () => number) {
  let receiving = 0

  async function receive(
    call: Call,
    machineId: string,
    fsId: string,
    mayContinue: () => void,
  ): Promise<void> {
    const { request, response, url, holder } = call
    const certificatePem = call.certificatePem()
    if (machineId !== holder) throw new AppError('forbidden', { permission: 'manifests of another machine' })
    const sizeBytes = announcedBytes(request, manifestLimits.maxBytes)
    const sample = manifestSampleSchema.safeParse((url.searchParams.get('sample') ?? '').split(','))
    const signature = String(request.headers[manifestHeaders.signature] ?? '')
    if (!sample.success || signature === '' || signature.length > 400)
      throw new AppError('invalid_request', { problems: 'sample or signature' })
    if (receiving >= maxReceiving) throw new AppError('scanner_busy', { retryAfterSeconds: 5 })
    receiving += 1
    const part = store.partPath(machineId, fsId)
    try {
      mayContinue()
      const digest = await streamBody(request, part, sizeBytes)
      const { publicKey } = new X509Certificate(certificatePem)
      if (!verify('sha256', digest, publicKey, Buffer.from(signature, 'base64')))
        throw new AppError('signature_invalid', { what: 'manifest' })
      const meta = { machineId, fsId, sample: sample.data, signature, certificatePem, sizeBytes }
      store.keep(part, { ...meta, receivedAtMs: nowMs() })
    } finally {
      receiving -= 1
      rmSync(part, { force: true })
    }
    response.writeHead(200, { 'content-length': 0 }).end()
  }

  async function match({ request, response, holder }: Call, fsId: string): Promise<void> {
    const body = await readBody(request, announcedBytes(request, maxMatchBytes))
    const parsed = manifestMatchSchema.safeParse(parseJson(body))
    if (!parsed.success) throw new AppError('invalid_request', { problems: 'no request for a manifest' })
    const { sample, parentId } = parsed.data
    const found = store.match(fsId, sample, parentId, holder)
    if (found === undefined) throw new AppError('not_found', { kind: 'manifest', id: fsId })
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': found.sizeBytes,
      [manifestHeaders.machineId]: found.machineId,
      [manifestHeaders.signature]: found.signature,
      [manifestHeaders.certificate]: Buffer.from(found.certificatePem).toString('base64'),
    })
    await pipeline(createReadStream(found.path), response)
  }

  /** Answers a request for a manifest; false when it is for something else. */
  return async (call: Call, mayContinue: () => void): Promise<boolean> => {
    const { request, url } = call
    const own = /^\/v1\/manifests\/([0-9a-f-]{36})\/([0-9a-f]{32})$/.exec(url.pathname)
    const wanted = /^\/v1\/manifests\/([0-9a-f]{32})\/match$/.exec(url.pathname)
    if (request.method === 'PUT' && own?.[1] !== undefined && own[2] !== undefined)
      await receive(call, own[1], own[2], mayContinue)
    else if (request.method === 'POST' && wanted?.[1] !== undefined) await match(call, wanted[1])
    else return false
    return true
  }
}
export type ManifestRoutes = ReturnType<typeof createManifestRoutes>

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}
