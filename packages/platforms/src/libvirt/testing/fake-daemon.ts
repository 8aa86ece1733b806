/** A libvirt daemon on a Unix socket with domains that a test moves about. It speaks as much of the protocol as the connector asks. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DomainState, readDomain, writeDomain } from '../protocol.ts'
import { createMessageSplitter, encodeMessage } from '../rpc.ts'
import { type XdrReader, XdrWriter } from '../xdr.ts'

export type FakeDomain = { name: string; uuid: string; state: DomainState; xml?: string }
export type FakeDaemon = Awaited<ReturnType<typeof startFakeDaemon>>

const program = 0x20008086
const noDomain = 42

/** `beforeReply` may change the daemon, or wait, before a procedure is answered. */
export async function startFakeDaemon(options: {
  hostname: string
  hostUuid: string
  authTypes?: number[]
  beforeReply?: (procedure: number) => void | Promise<void>
}) {
  const folder = mkdtempSync(join(tmpdir(), 'ringwall-fake-libvirt-'))
  const path = join(folder, 'sock')
  const domains = new Map<string, FakeDomain>()
  const sockets = new Set<Socket>()
  const heard: number[] = []

  const idOf = ({ name, uuid }: FakeDomain) => ({ name, uuid, id: -1 })
  const xmlOf = ({ name, uuid, xml }: FakeDomain) =>
    xml ?? `<domain><name>${name}</name><uuid>${uuid}</uuid></domain>`

  const word = (value: number) => new XdrWriter().i32(value)
  const version = (value: number) => new XdrWriter().i32(0).i32(value)
  const text = (value: string) => new XdrWriter().string(value)

  function listOf(found: FakeDomain[]): XdrWriter {
    const writer = new XdrWriter()
    return writer.array(found, (domain) => writeDomain(writer, idOf(domain))).u32(found.length)
  }

  function statsOf(found: FakeDomain[]): XdrWriter {
    const writer = new XdrWriter()
    return writer.array(found, (domain) => {
      writeDomain(writer, idOf(domain))
      writer.array(Object.entries(domain.state), ([field, value]) =>
        writer.string(`state.${field}`).i32(1).i32(value),
      )
    })
  }

  const answers: Record<number, (body: XdrReader) => XdrWriter | undefined> = {
    1: () => new XdrWriter(),
    4: () => version(7_002_000),
    7: () => text(`<capabilities><host><uuid>${options.hostUuid}</uuid></host></capabilities>`),
    14: (body) => {
      const domain = domains.get(readDomain(body).uuid)
      return domain === undefined ? undefined : text(xmlOf(domain))
    },
    59: () => text(options.hostname),
    66: () => {
      const writer = new XdrWriter()
      return writer.array(options.authTypes ?? [0], (type) => writer.i32(type))
    },
    70: () => word(1),
    157: () => version(9_000_000),
    273: () => listOf([...domains.values()]),
    316: () => word(0),
    344: (body) => {
      const asked = body.array(() => readDomain(body).uuid)
      return statsOf([...domains.values()].filter(({ uuid }) => asked.length === 0 || asked.includes(uuid)))
    },
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const split = createMessageSplitter()
    let turn = Promise.resolve()
    socket.on('data', (chunk: Buffer) => {
      for (const { header, body } of split(chunk))
        turn = turn.then(async () => {
          heard.push(header.procedure)
          const answer = answers[header.procedure]?.(body)
          const reply = { ...header, type: 1, status: answer === undefined ? 1 : 0 }
          const refusal = word(noDomain).i32(0).u32(1).string('no such domain')
          await options.beforeReply?.(header.procedure)
          socket.write(encodeMessage(reply, (answer ?? refusal).bytes()))
        })
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))

  return {
    address: `unix://${path}`,
    domains,
    /** The procedures that were called. */
    heard,
    set: (domain: FakeDomain) => void domains.set(domain.uuid, domain),
    /** A lifecycle event to everybody who is connected. */
    tell: (domain: FakeDomain, event: number, detail: number) => {
      const body = new XdrWriter().i32(0)
      writeDomain(body, idOf(domain))
      const header = { program, version: 1, procedure: 318, type: 2, serial: 0, status: 0 }
      for (const socket of sockets) socket.write(encodeMessage(header, body.i32(event).i32(detail).bytes()))
    },
    /** Ends all connections. */
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    /** Ends all connections, and takes no more. */
    stop: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => {
          rmSync(folder, { recursive: true, force: true })
          resolve()
        })
      }),
  }
}
