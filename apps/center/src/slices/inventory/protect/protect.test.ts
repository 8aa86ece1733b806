import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiRoutes } from '@ringwall/contracts'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually, startTestCenter, type TestCenter } from '../testing/test-center.ts'
import { shellQuote } from './install-script.ts'
import { type FakeSsh, startFakeSsh } from './testing/fake-ssh.ts'

const archive = Buffer.from('not really an archive')
const sha256 = createHash('sha256').update(archive).digest('hex')
const credentials = { kind: 'password' as const, username: 'root', password: 'ssh-secret' }
let dir: string
let center: TestCenter
let ssh: FakeSsh
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'protect-'))
  writeFileSync(join(dir, 'agent.tar.gz'), archive)
  center = await startTestCenter({}, { agentPackagePath: join(dir, 'agent.tar.gz') })
  ssh = await startFakeSsh(credentials)
})
afterEach(async () => {
  await ssh.close()
  await center.close()
  rmSync(dir, { recursive: true, force: true })
})

async function importMachines(csv: string): Promise<Record<string, string>> {
  await center.as.operator(apiRoutes.importAssets, { body: { csv: `hostname,os,addresses\n${csv}` } })
  const { items } = await center.as.viewer(apiRoutes.listAssets, {})
  return Object.fromEntries(items.map(({ name, id }) => [name, id]))
}
async function push(
  targets: { assetId: string; hostKey?: string; address?: string }[],
  password = credentials.password,
) {
  const { job } = await center.as.administrator(apiRoutes.createPushJob, {
    body: {
      targets: targets.map((target) => ({ port: ssh.port, ...target })),
      credentials: { ...credentials, password },
      concurrency: 2,
    },
  })
  return await eventually('the end of the job', async () => {
    const answer = await center.as.administrator(apiRoutes.getPushJob, { params: { id: job.id } })
    return answer.job.endedAt !== null && answer
  })
}

describe('an install command', () => {
  it('downloads what it names, and its token has as many uses as machines', async () => {
    const ids = await importMachines('web-1,Debian,\nweb-2,,\ndesk-1,Windows 11,')
    const answer = await center.as.administrator(apiRoutes.createInstallCommands, {
      body: { assetIds: Object.values(ids) },
    })
    const [linux, windows] = answer.commands
    expect(linux?.assetIds.sort()).toEqual([ids['web-1'], ids['web-2']].sort())
    expect(windows).toEqual({ osFamily: 'windows', command: null, assetIds: [ids['desk-1']] })
    expect(answer).toMatchObject({ maxUses: 2, agentPackage: { sha256, sizeBytes: archive.length } })
    execFileSync('sh', ['-n'], { input: linux?.command ?? '' })
    expect(
      execFileSync('sh', [
        '-c',
        `sudo() { shift 2; sh -n -c "$1" && printf %s "$1"; }\n${linux?.command}`,
      ]).toString(),
    ).toContain('tar -C /opt')
    for (const part of [answer.agentPackage.url, sha256, '--token rwe_', '--ca-hash sha256:'])
      expect(linux?.command).toContain(part)
    const downloaded = await new Promise<Buffer>((resolve, reject) => {
      get(`${center.url}/downloads/ringwall-agent.tar.gz`, { ca: center.core.pki.caPem }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks)))
      }).on('error', reject)
    })
    expect(downloaded.equals(archive)).toBe(true)
    expect((await center.as.operator(apiRoutes.listEnrolTokens, {})).items).toMatchObject([
      { maxUses: 2, createdBy: 'administrator (test)' },
    ])
    const audit = JSON.stringify(await center.as.administrator(apiRoutes.listAudit, {}))
    expect(audit).toContain('protect.commands_created')
    expect(audit).not.toContain('rwe_')
  })

  it('is refused while there is no package', async () => {
    const ids = await importMachines('web-1,Debian,')
    rmSync(join(dir, 'agent.tar.gz'))
    await expect(
      center.as.administrator(apiRoutes.createInstallCommands, { body: { assetIds: Object.values(ids) } }),
    ).rejects.toMatchObject({ code: 'agent_package_missing' })
  })

  it('quotes what a shell would read', () => {
    expect(shellQuote(`it's $HOME`)).toBe(`'it'\\''s $HOME'`)
  })
})

describe('a push over SSH', () => {
  it('installs, keeps the host key it saw, and ends when the agent is online', async () => {
    const ids = await importMachines('web-1,Debian,127.0.0.1')
    const assetId = ids['web-1'] ?? ''
    ssh.onInstall = async (machineId) => {
      await sql`insert into peer (id, kind, name, link_state, cert_serial, cert_not_after, cert_fingerprint)
        values (${machineId}, 'agent', 'web-1', 'online', 's', now(), 'f')`.execute(center.db)
    }
    const { job, targets } = await push([{ assetId }])
    expect(targets).toMatchObject([
      { name: 'web-1', state: 'done', hostKey: ssh.hostKey, isHostKeyNew: true, error: null },
    ])
    expect(job.counts).toEqual({ total: 1, open: 0, done: 1, failed: 0, cancelled: 0 })
    expect(ssh.uploaded?.equals(archive)).toBe(true)
    expect(ssh.scripts).toHaveLength(1)
    expect(ssh.scripts[0]).toContain('agent enroll --center localhost:')
    expect(ssh.commands.join('\n')).not.toContain('rwe_')
    // The secret is nowhere: not in a row of any table, not in the log.
    const { rows } = await sql<{ text: string }>`select string_agg(t::text, '') as text from
      (select to_jsonb(j)::text from push_job j union all select to_jsonb(t)::text from push_target t union all select to_jsonb(a)::text from audit_entry a) t`.execute(
      center.db,
    )
    expect(rows[0]?.text).toContain('push_job')
    expect(rows[0]?.text).not.toContain(credentials.password)
    expect(center.logged()).not.toContain(credentials.password)
  })

  it('tells for each machine what went wrong, and sends no password to another host key', async () => {
    const ids = await importMachines('web-1,Debian,127.0.0.1\nweb-2,Debian,127.0.0.1\nweb-3,Debian,')
    const { targets } = await push(
      [
        { assetId: ids['web-1'] ?? '', hostKey: `sha256:${'0'.repeat(64)}` },
        { assetId: ids['web-2'] ?? '' },
        { assetId: ids['web-3'] ?? '' },
      ],
      'wrong',
    )
    expect(targets.map(({ name, state, error }) => `${name} ${state} ${error?.code}`)).toEqual([
      'web-1 failed ssh_host_key_changed',
      'web-2 failed ssh_login_failed',
      'web-3 failed asset_without_address',
    ])
    expect(targets[0]?.hostKey).toBe(ssh.hostKey)
    expect(ssh.signIns).toBe(1)
    expect(center.logged()).not.toContain('wrong')
  })

  it('refuses a machine that the package does not fit, before it copies anything', async () => {
    const ids = await importMachines('web-1,Debian,127.0.0.1')
    ssh.uname = 'FreeBSD amd64'
    const { targets } = await push([{ assetId: ids['web-1'] ?? '' }])
    expect(targets[0]?.error).toMatchObject({ code: 'push_unsupported' })
    expect(ssh.uploaded).toBeUndefined()
    ssh.uname = undefined
    ssh.installFailure = 'systemd is needed'
    const again = await push([{ assetId: ids['web-1'] ?? '' }])
    expect(again.targets[0]?.error).toMatchObject({
      code: 'ssh_command_failed',
      params: { step: 'install', reason: 'systemd is needed' },
    })
    expect(again.targets[0]?.isHostKeyNew).toBe(true)
  })
})
