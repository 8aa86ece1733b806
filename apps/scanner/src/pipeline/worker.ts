import { readFileSync } from 'node:fs'
import {
  decodePack,
  type EngineContent,
  loadEngines,
  type PipelineResult,
  runPipeline,
} from '@ringwall/engines'
import { createFrameReader, frame } from './frames.ts'

/** Contents of one batch are 32 bytes SHA-256, u8 kind (0 bytes, 1 path), u32 length, then the bytes or the path. */
export const itemHeaderBytes = 37
const maxBatchFrameBytes = 1024 * 1024 * 1024

export type WorkerReady = {
  ready: true
  rules: number
  hashes: number
  engines: { id: string; version: string }[]
}
export type WorkerReply = { results: PipelineResult[]; rssBytes: number }

function decodeItems(bytes: Buffer): { sha256: string; sizeBytes: number; content: EngineContent }[] {
  const items: { sha256: string; sizeBytes: number; content: EngineContent }[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const sha256 = bytes.toString('hex', offset, offset + 32)
    const isPath = bytes.readUInt8(offset + 32) === 1
    const length = bytes.readUInt32LE(offset + 33)
    const payload = bytes.subarray(offset + itemHeaderBytes, offset + itemHeaderBytes + length)
    items.push({
      sha256,
      sizeBytes: length,
      content: isPath ? { kind: 'file', path: payload.toString() } : { kind: 'bytes', bytes: payload },
    })
    offset += itemHeaderBytes + length
  }
  return items
}

/**
 * An engine process: loads a verified content pack, then judges batches until its input ends. It owns nothing that
 * matters: the scanner may kill it at any moment.
 */
export function runWorker(packPath: string): void {
  const { engines, rules, hashes } = loadEngines(decodePack(readFileSync(packPath)))
  const reply = (message: WorkerReady | WorkerReply) =>
    process.stdout.write(frame(Buffer.from(JSON.stringify(message))))
  const read = createFrameReader(maxBatchFrameBytes, (bytes) => {
    reply({
      results: decodeItems(bytes).map((item) => runPipeline(engines, item)),
      rssBytes: process.memoryUsage.rss(),
    })
  })
  process.stdin.on('data', read)
  process.stdin.on('end', () => process.exit(0))
  reply({ ready: true, rules, hashes, engines: engines.map(({ id, version }) => ({ id, version })) })
}
