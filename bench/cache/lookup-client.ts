/**
 * Asks a server for hashes as fast as it answers, over TLS, in a process of its own: requests are made beforehand and
 * answers compared as a whole, so that little of the machine goes into asking. A job (JSON) on standard input, the
 * outcome on standard output.
 */
import { text } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { lookupCodes } from '@ringwall/contracts'
import { contentHash, redisValue } from './contents.ts'

export type LookupJob = {
  protocol: 'ringwall' | 'redis'
  port: number
  identity: { keyPem: string; certificatePem: string; caPem: string }
  /** Contents 0 … entries are known. */
  entries: number
  batch: number
  connections: number
  seconds: number
}
export type LookupOutcome = { asked: number; wrongAnswers: number; seconds: number; clientCpuSeconds: number }

const distinctHashes = 1_000_000

function requestOf({ protocol, batch }: LookupJob, hashes: Buffer[]): Buffer {
  if (protocol === 'ringwall')
    return Buffer.concat([
      Buffer.from(`POST /v1/lookup HTTP/1.1\r\nhost: scanner\r\ncontent-length: ${batch * 32}\r\n\r\n`),
      ...hashes,
    ])
  const parts = hashes.flatMap((hash) => [Buffer.from('$32\r\n'), hash, Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${batch + 1}\r\n$4\r\nMGET\r\n`), ...parts])
}

/** How every answer ends when each hash is known. */
function wantedEnd({ protocol, batch }: LookupJob): Buffer {
  if (protocol === 'ringwall') return Buffer.alloc(batch, lookupCodes.clean)
  const value = Buffer.concat([Buffer.from(`$${redisValue.length}\r\n`), redisValue, Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${batch}\r\n`), ...Array.from({ length: batch }, () => value)])
}

/** The bytes of an answer, once its head is there. All answers to one job are of one length. */
function answerBytes({ protocol }: LookupJob, wanted: Buffer, received: Buffer): number | undefined {
  if (protocol === 'redis') return wanted.length
  const head = received.indexOf('\r\n\r\n')
  return head < 0 ? undefined : head + 4 + wanted.length
}

async function open({ port, identity }: LookupJob): Promise<TLSSocket> {
  const { keyPem, certificatePem, caPem } = identity
  const socket = connect({
    host: '127.0.0.1',
    port,
    key: keyPem,
    cert: certificatePem,
    ca: caPem,
    checkServerIdentity: () => undefined,
  })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return socket.setNoDelay()
}

async function run(job: LookupJob): Promise<LookupOutcome> {
  const pool = Array.from({ length: Math.min(distinctHashes, job.entries) }, () =>
    contentHash(Math.floor(Math.random() * job.entries)),
  )
  const requests: Buffer[] = []
  for (let at = 0; at + job.batch <= pool.length; at += job.batch)
    requests.push(requestOf(job, pool.slice(at, at + job.batch)))
  const wanted = wantedEnd(job)
  const sockets = await Promise.all(Array.from({ length: job.connections }, async () => await open(job)))
  let next = 0
  let asked = 0
  let wrongAnswers = 0
  const startCpu = process.cpuUsage()
  const startMs = performance.now()
  const untilMs = startMs + job.seconds * 1000
  const exchange = (socket: TLSSocket) =>
    new Promise<void>((resolve, reject) => {
      const answer = Buffer.allocUnsafe(wanted.length + 4096)
      let length = 0
      const ask = () => {
        length = 0
        next += 1
        socket.write(requests[next % requests.length] ?? '')
      }
      socket.on('error', reject)
      socket.on('close', () => reject(new Error('the server closed the connection')))
      socket.on('data', (chunk: Buffer) => {
        length += chunk.copy(answer, length)
        const whole = answerBytes(job, wanted, answer.subarray(0, length))
        if (whole === undefined || length < whole) return
        asked += job.batch
        if (!answer.subarray(whole - wanted.length, whole).equals(wanted)) wrongAnswers += 1
        if (performance.now() < untilMs) return ask()
        socket.removeAllListeners('close').destroy()
        resolve()
      })
      ask()
    })
  await Promise.all(sockets.map(exchange))
  const { user, system } = process.cpuUsage(startCpu)
  return {
    asked,
    wrongAnswers,
    seconds: (performance.now() - startMs) / 1000,
    clientCpuSeconds: (user + system) / 1_000_000,
  }
}

process.stdout.write(JSON.stringify(await run(JSON.parse(await text(process.stdin)) as LookupJob)))
