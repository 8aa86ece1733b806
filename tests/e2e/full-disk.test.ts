import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canMount, createSite, eicar, type Json, type Site, waitFor } from './harness.ts'

const isMountable = canMount()
let site: Site
let machineId: string
const folders: string[] = []

/** A small file system of its own for one program. */
function mountSmall(folder: string, size: string): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0711`, 'tmpfs', folder])
  folders.push(folder)
}
const fill = (folder: string) =>
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${folder}/filler bs=4k 2>/dev/null || true`])
const free = (folder: string) => execFileSync('rm', ['-f', join(folder, 'filler')])

beforeAll(async () => {
  if (!isMountable) return
  site = await createSite({
    prepare: (root) => {
      mountSmall(join(root, 'center'), '220m')
      mountSmall(join(root, 'scanner'), '64m')
    },
  })
  await site.startScanner()
  machineId = await site.startAgent()
})
afterAll(async () => {
  for (const folder of folders) execFileSync('umount', ['-l', folder])
  await site?.close()
})

function upload(content: Buffer): Promise<{ status: number; code: unknown }> {
  const identity = JSON.parse(
    readFileSync(join(site.homeOf('agent'), 'agent/identity.json'), 'utf8'),
  ) as Record<'keyPem' | 'certificatePem' | 'caPem', string>
  return new Promise((resolve, reject) => {
    const call = request({
      host: '127.0.0.1',
      port: site.scannerPort,
      method: 'PUT',
      path: `/v1/content/${createHash('sha256').update(content).digest('hex')}`,
      key: identity.keyPem,
      cert: identity.certificatePem,
      ca: identity.caPem,
      checkServerIdentity: () => undefined,
      headers: { 'content-length': content.length },
    })
    call.on('error', reject)
    call.on('response', (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, code: (JSON.parse(text) as { code?: string }).code }),
      )
    })
    call.end(content)
  })
}

describe.skipIf(!isMountable)('a full disk', () => {
  it('on a scanner: uploads are refused with the reason, and go on when there is space', async () => {
    const folder = join(site.root, 'scanner')
    const content = Buffer.alloc(12 * 1024 * 1024, 'full')
    fill(folder)
    expect(await upload(content)).toMatchObject({ status: 507, code: 'disk_full' })
    free(folder)
    expect(await upload(content)).toMatchObject({ status: 200 })
  })

  it('on the center: writes are refused with the reason, and what agents report arrives afterwards', async () => {
    const folder = join(site.root, 'center')
    const victim = join(site.root, 'victim')
    mkdirSync(victim)
    for (let index = 0; index < 40; index += 1)
      writeFileSync(join(victim, `${index}`), Buffer.concat([eicar, Buffer.from(' '.repeat(index))]))
    const scanId = await site.startScan(machineId, [victim])
    fill(folder)
    const refused = await waitFor('a refusal', async () => {
      const { status, body } = await site.api('POST', '/enrol-tokens', {
        name: 'x'.repeat(100),
        role: 'agent',
        maxUses: 1,
        expiresInHours: 1,
      })
      return status >= 500 ? (body as Json) : undefined
    })
    expect(['disk_full', 'database_unavailable']).toContain(refused.code)
    free(folder)
    expect(await site.endOf(scanId)).toMatchObject({ state: 'completed', findings: 40 })
    expect(await site.list(`/findings?scanId=${scanId}`)).toHaveLength(40)
  })
})
