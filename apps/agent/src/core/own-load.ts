/** Memory and processor use of this process, as heartbeats tell it. */
export function createLoadMeter(): () => { rssBytes: number; cpuPercent: number } {
  let last = { atMs: performance.now(), usage: process.cpuUsage() }
  return () => {
    const usage = process.cpuUsage()
    const atMs = performance.now()
    const usedMs = (usage.user + usage.system - last.usage.user - last.usage.system) / 1000
    const cpuPercent = Math.max(0, Math.round((usedMs / Math.max(1, atMs - last.atMs)) * 1000) / 10)
    last = { atMs, usage }
    return { rssBytes: process.memoryUsage.rss(), cpuPercent }
  }
}
