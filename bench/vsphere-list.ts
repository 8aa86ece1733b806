/**
 * Measures how the vSphere connector lists a simulated vCenter with 10,000 machines: ./ringwall bench vsphere-list.
 * Needs golang-go and golang-github-vmware-govmomi-dev.
 */
import { connectors } from '@ringwall/platforms'
import { silentLogger, systemClock } from '@ringwall/runtime'
import { startVcsim, vcsimMissing } from '../tests/peers/vcsim/vcsim.ts'
import { writeSection } from './section.ts'

const hosts = 40
const vms = 10_000
const rounds = 3

const missing = vcsimMissing()
const { vsphere } = connectors
if (missing !== undefined || vsphere === undefined) throw new Error(missing ?? 'no vSphere connector')
const sim = await startVcsim({ hosts, vms })
const { signal } = new AbortController()
const connector = vsphere.open({
  address: sim.address,
  fingerprint: (await vsphere.fingerprint(sim.address, signal)) ?? undefined,
  credentials: { kind: 'password', username: sim.username, password: sim.password },
  requestsPerSecond: 20,
  clock: systemClock,
  logger: silentLogger,
  recorder: undefined,
})
const rows: string[] = []
try {
  await connector.check(signal)
  for (let round = 1; round <= rounds; round += 1) {
    const beforeBytes = process.memoryUsage.rss()
    let peakBytes = beforeBytes
    const look = () => {
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
    }
    const timer = setInterval(look, 20)
    const cpuBefore = process.cpuUsage()
    const startedAtMs = performance.now()
    const { machines } = await connector.list(signal)
    const tookMs = performance.now() - startedAtMs
    const cpu = process.cpuUsage(cpuBefore)
    clearInterval(timer)
    look()
    if (machines.length !== vms) throw new Error(`${machines.length} machines instead of ${vms}`)
    const cpuSeconds = ((cpu.user + cpu.system) / 1e6).toFixed(1)
    const grownMib = ((peakBytes - beforeBytes) / 1024 ** 2).toFixed(0)
    rows.push(`| ${round} | ${(tookMs / 1000).toFixed(1)} s | ${cpuSeconds} s | ${grownMib} MiB |`)
  }
} finally {
  await connector.close()
  await sim.stop()
}

writeSection(
  'vsphere-list',
  'List of a large vCenter',
  ['vcsim (govmomi 0.24)'],
  [
    `A complete list of ${vms} machines on ${hosts} hosts, over SOAP with TLS, ${rounds} times on one session. The simulator works on the same processors; the processor time is that of the connector alone. It gives everything in one answer.`,
    '',
    '| round | time | processor time of the connector | growth of RSS at most |',
    '| ---: | ---: | ---: | ---: |',
    ...rows,
  ].join('\n'),
)
