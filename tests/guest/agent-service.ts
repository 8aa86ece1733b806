/** The agent's service in a guest, as an operator sees and changes it, and its machine as the center tells it. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { AgentCaps, ModuleUsage } from '@ringwall/contracts'
import { createSite, type Json, waitFor } from '../e2e/harness.ts'
import { startGuest } from './guest.ts'
import { guestAddressOfHost, guestImage, hostName } from './guest-image.ts'

const root = join(import.meta.dirname, '../..')
const slowMs = 300_000
export const cgroup = '/sys/fs/cgroup/system.slice/ringwall-agent.service'
const dropIn = '/etc/systemd/system/ringwall-agent.service.d/test.conf'

export type Machine = Json & {
  linkState: string
  problems: string[]
  facts: Json & { os: Json; dmi: Json; bootedAt: string }
  agent: { caps: AgentCaps | null; modules: ModuleUsage[]; realtime: Json | null }
}

export const say = (text: string) => process.stderr.write(`guest: ${text}\n`)

/** Center, scanner and guest; the agent is not there yet. */
export async function createGuestSite() {
  execFileSync(process.execPath, ['scripts/package-agent.ts'], { cwd: root, stdio: ['ignore', 'ignore', 2] })
  const uuid = randomUUID()
  const site = await createSite({ env: () => ({ RINGWALL_HOST_NAMES: `${hostName},localhost` }) })
  const addresses = ['127.0.0.1', guestAddressOfHost].map((address) => `${address}:${site.scannerPort}`)
  await site.startScanner({ RINGWALL_SCANNER_ADDRESSES: addresses.join(',') })
  const guest = await startGuest(guestImage(say), { uuid, memoryMiB: 1536, cpus: 2 }).catch(
    async (error: unknown) => {
      await site.close()
      throw error
    },
  )
  let machineId = ''

  async function machine(): Promise<Machine> {
    return (await site.get<{ machine: Machine }>(`/machines/${machineId}`)).machine
  }
  const machineWhen = async (what: string, isSo: (machine: Machine) => boolean, timeoutMs = slowMs) =>
    await waitFor(
      what,
      async () => {
        const now = await machine()
        return isSo(now) ? now : undefined
      },
      timeoutMs,
    ).catch(async (error: unknown) => {
      const { linkState, problems, agent } = await machine()
      const log = await guest.attempt('journalctl -u ringwall-agent -n 30 --no-pager')
      throw new Error(
        `${String(error)}: ${linkState} ${JSON.stringify({ problems, agent }, null, 1)}\n${log.stdout}`,
      )
    })
  /** Online with a heartbeat of a start that was not there before. */
  async function restarted(action: () => Promise<unknown>): Promise<Machine> {
    const show = async () =>
      await guest.run('systemctl show -P MainPID ringwall-agent; cat /proc/sys/kernel/random/boot_id')
    const before = await show()
    await action()
    await waitFor('another process', async () => ((await show()) === before ? undefined : true), slowMs)
    const since = new Date().toISOString()
    return await machineWhen(
      'the agent to be back',
      ({ linkState, lastSeenAt }) => linkState === 'online' && String(lastSeenAt) > since,
    )
  }

  return {
    site,
    guest,
    uuid,
    machine,
    machineWhen,
    restarted,
    /** Installs the agent over SSH, as the console does; answers the target as the center tells it. */
    push: async (): Promise<Json> => {
      const csv = 'hostname,os,addresses\nguest,Debian GNU/Linux 12,127.0.0.1'
      await site.api('POST', '/assets/import', { csv })
      const [asset] = await site.list('/assets')
      const credentials = { kind: 'ssh-key', username: 'root', privateKeyPem: guest.privateKeyPem }
      const targets = [{ assetId: asset?.id, port: guest.sshPort }]
      const { body } = await site.api('POST', '/protect/push-jobs', { targets, credentials })
      const { id } = (body as { job: Json }).job
      const target = await waitFor(
        'the push to end',
        async () => {
          const { job, targets: all } = await site.get<{ job: Json; targets: Json[] }>(
            `/protect/push-jobs/${String(id)}`,
          )
          return job.endedAt === null ? undefined : all[0]
        },
        slowMs,
      )
      const [installed] = await site.list('/machines')
      machineId = String(installed?.id)
      return target ?? {}
    },
    /** Scans everything, or paths; answers the scan and how long it took by the center's clock. */
    scan: async (paths: string[] = []): Promise<{ scan: Json; progress: Json; durationMs: number }> => {
      const whole = paths.length === 0 ? {} : { paths }
      const { body } = await site.api('POST', '/scans', { machineIds: [machineId], ...whole })
      const { id, createdAt } = (body as { scan: Json }).scan
      const scan = await site.endOf(String(id), 3 * slowMs)
      const durationMs = Date.parse(String(scan.endedAt)) - Date.parse(String(createdAt))
      return { scan, progress: scan.progress as Json, durationMs }
    },
    /** Changes the unit by a drop-in and starts it anew; no lines: as it was. */
    withUnit: async (...lines: string[]): Promise<void> => {
      const write =
        lines.length === 0
          ? `rm -f ${dropIn}`
          : `mkdir -p $(dirname ${dropIn}); printf '%s\\n' '[Service]' ${lines.map((line) => `'${line}'`).join(' ')} >${dropIn}`
      await guest.run(`${write}; systemctl daemon-reload; systemctl restart ringwall-agent`, slowMs)
    },
    close: async (): Promise<void> => {
      await guest.stop()
      await site.close()
    },
  }
}
export type GuestSite = Awaited<ReturnType<typeof createGuestSite>>
