/**
 * Reads the inventory of a simulated vCenter with 10,000 machines and prints the time and the memory it took:
 * ./ringwall bench vsphere-list. Needs golang-go and golang-github-vmware-govmomi-dev.
 */
import { connectors } from '@ringwall/platforms'
import { silentLogger, systemClock } from '@ringwall/runtime'
import { startVcsim, vcsimMissing } from '../tests/peers/vcsim/vcsim.ts'

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
    process.stdout.write(
      `round ${round}: ${machines.length} machines in ${(tookMs / 1000).toFixed(1)} s, ` +
        `client CPU ${((cpu.user + cpu.system) / 1e6).toFixed(1)} s, ` +
        `RSS +${((peakBytes - beforeBytes) / 1024 ** 2).toFixed(0)} MiB at most\n`,
    )
  }
} finally {
  await connector.close()
  await sim.stop()
}
