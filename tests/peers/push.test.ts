/** The push of agents to a real OpenSSH server with Debian's PAM and sudo. What systemd makes of the unit is not seen here. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSite, type Json, type Site, waitFor } from '../e2e/harness.ts'
import { type SshMachine, sshMachineLacks, startSshMachine, sudoer, trusted, visitor } from './ssh-machine.ts'

const lacks = sshMachineLacks()
if (lacks.length > 0)
  process.stderr.write(`skipped: the push over SSH, as this machine lacks ${lacks.join(', ')}\n`)

type Target = {
  state: string
  hostKey: string
  isHostKeyNew: boolean
  error: { code: string; params: Json } | null
}

describe.skipIf(lacks.length > 0)('a push to a real sshd', () => {
  let site: Site
  let machine: SshMachine
  let machines = 0
  beforeAll(async () => {
    execFileSync(process.execPath, [join(import.meta.dirname, '../../scripts/package-agent.ts')])
    site = await createSite()
  })
  afterAll(async () => await site?.close())
  beforeEach(async () => {
    machine = await startSshMachine()
    machines += 1
  })
  afterEach(async () => await machine?.stop())

  const password = (username: string, text = machine.password) => ({
    kind: 'password',
    username,
    password: text,
  })
  const key = (username: string, more: Json = {}) => {
    const { privateKeyPem, passphrase } = machine
    return { kind: 'ssh-key', username, privateKeyPem, passphrase, ...more }
  }

  /** Pushes to the machine of this test, as one that the center knows from an import. */
  async function push(credentials: Json, changes: Json = {}): Promise<Target> {
    const name = `target-${machines}`
    const csv = `hostname,os,addresses\n${name},Debian,127.0.0.1`
    expect(await site.api('POST', '/assets/import', { csv })).toMatchObject({ status: 200 })
    const asset = (await site.list('/assets')).find((item) => item.name === name)
    const target = { assetId: asset?.id, port: machine.port, ...changes }
    const { status, body } = await site.api('POST', '/protect/push-jobs', { targets: [target], credentials })
    expect({ status, body }).toMatchObject({ status: 200 })
    const { id } = (body as { job: { id: string } }).job
    return await waitFor(
      'the end of the push',
      async () => {
        const answer = await site.get<{ job: Json; targets: Target[] }>(`/protect/push-jobs/${id}`)
        return answer.job.endedAt === null ? undefined : answer.targets[0]
      },
      150_000,
    )
  }

  it.each([
    ['root by password', () => password('root')],
    ['root by an encrypted key', () => key('root')],
    ['an account whose sudo asks for its password', () => password(sudoer)],
    ['a key, and a password for sudo', () => key(sudoer, { sudoPassword: machine.password })],
    ['an account that sudo trusts', () => key(trusted)],
  ])('installs an agent as %s', async (_, credentials) => {
    const before = (await site.list('/machines')).map(({ id }) => id)
    expect(await push(credentials())).toMatchObject({
      state: 'done',
      error: null,
      hostKey: machine.hostKey,
      isHostKeyNew: true,
    })
    const added = (await site.list('/machines')).filter(({ id }) => !before.includes(id))
    expect(added).toMatchObject([{ linkState: 'online' }])
    const owners = 'stat -c "%U %a" /opt/ringwall-agent/ringwall /var/lib/ringwall /var/lib/ringwall/agent'
    expect(machine.run(owners).stdout).toMatch(/^root 755\nroot 7[015][015]\nroot 700\n$/)
    expect(machine.run('ls -A /tmp').stdout).toBe('')
    expect(machine.run('cat /etc/systemd/system/ringwall-agent.service').stdout).toContain('ExecStart=')
    // Nothing of it is on the machine that plays the other one.
    expect(existsSync('/etc/test-ssh')).toBe(false)
  })

  it('sends nothing to another host key than was accepted, also later', async () => {
    const wrong = await push(password('root'), { hostKey: `sha256:${'0'.repeat(64)}` })
    expect(wrong).toMatchObject({
      state: 'failed',
      hostKey: machine.hostKey,
      error: { code: 'ssh_host_key_changed', params: { actual: machine.hostKey } },
    })
    expect(machine.log()).toMatch(/Connection from 127\.0\.0\.1/)
    expect(machine.log()).not.toMatch(/root|Accepted|Failed/)
    const refused = await push(password('root', 'wrong'))
    expect(refused).toMatchObject({ state: 'failed', error: { code: 'ssh_login_failed' } })
    expect(machine.log()).toContain('Failed password for root')
  })

  it('tells what stands in the way of an account', async () => {
    const error = async (credentials: Json) => (await push(credentials)).error
    expect(await error(password(visitor))).toMatchObject({
      code: 'ssh_command_failed',
      params: { step: 'sudo', reason: expect.stringContaining('not in the sudoers file') },
    })
    expect(await error(key(sudoer))).toMatchObject({
      params: { step: 'sudo', reason: 'sudo asks for a password and none was given' },
    })
    expect(await error(key(sudoer, { sudoPassword: 'wrong' }))).toMatchObject({
      params: { step: 'sudo', reason: expect.stringMatching(/^[^\n]*incorrect password attempt$/) },
    })
    machine.run('rm /usr/bin/systemctl')
    expect(await error(password('root'))).toMatchObject({
      code: 'ssh_command_failed',
      params: { step: 'install', reason: 'systemd is needed' },
    })
    expect(machine.run('ls /opt/ringwall-agent').status).not.toBe(0)
    expect(machine.run('ls -A /tmp').stdout).toBe('')
  })
})
