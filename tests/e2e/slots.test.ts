import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSite, type Site } from './harness.ts'
let site: Site
beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
})
afterAll(async () => await site?.close())
it('smoke', async () => {
  const id = await site.startAgent('agent')
  const t = Date.now()
  const scan = await site.startScan(id, ['/usr/share/doc'])
  const end = await site.endOf(scan)
  console.log(Date.now() - t, JSON.stringify(end))
  console.log(JSON.stringify(await site.get('/scan-queue')))
  const events = await site.list(`/machines/${id}/events`)
  console.log(events.map((e) => e.type))
  console.log(JSON.stringify(await site.get(`/machines/${id}`)).slice(-600))
})
