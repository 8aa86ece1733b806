/** Measures the topology page of 10,000 machines in a real browser: ./ringwall bench topology. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createDataCentre, startOvirtSimulator } from '@ringwall/platforms'
import { chromium } from 'playwright-core'
import { createSite, type Json, waitFor } from '../tests/e2e/harness.ts'
import { median } from './figures.ts'
import { writeSection } from './section.ts'

const machines = 10_000
const rounds = 5
const restMs = 1000
const simulatorPassword = 'of-a-simulator-1'
const password = 'Better-Than-Before-42'

/**
 * In the page: `painted` resolves with the time since the navigation at which an element was on the screen. Playwright itself
 * looks only every half second after a while.
 */
const observe = `window.painted = (selector, text) => new Promise((resolve) => {
  const look = () => {
    if (![...document.querySelectorAll(selector)].some((element) => element.textContent.includes(text))) return
    observer.disconnect()
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))
  }
  const observer = new MutationObserver(look)
  observer.observe(document, { childList: true, subtree: true, characterData: true })
  look()
})`

const dataCentre = createDataCentre({ seed: 5, name: 'bench', clusters: 20, hosts: 400, machines })
const simulator = await startOvirtSimulator({ dataCentre, password: simulatorPassword })
const site = await createSite()
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  const created = await site.api('POST', '/platforms', {
    kind: 'ovirt',
    name: 'bench',
    address: simulator.address,
    fingerprint: simulator.fingerprint,
    requestsPerSecond: 500,
    credentials: { kind: 'password', username: 'admin@internal', password: simulatorPassword },
  })
  if (created.status !== 200) throw new Error(JSON.stringify(created.body))
  const { id } = (created.body as { platform: { id: string } }).platform
  await waitFor(
    'the first list',
    async () =>
      (await site.get<{ platform: Json }>(`/platforms/${id}`)).platform.state === 'watching'
        ? true
        : undefined,
    180_000,
  )
  const page = await browser.newPage({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
  })
  const url = String(site.first.url)
  await page.goto(url)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password', { exact: true }).fill(String(site.first.firstPassword))
  await page.keyboard.press('Enter')
  await page.getByText('Choose a password').waitFor()
  const fields = page.locator('input[type=password]')
  for (const [index, text] of [String(site.first.firstPassword), password, password].entries())
    await fields.nth(index).fill(text)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  const wanted = 'host-399'
  await page.addInitScript(observe)
  const shown: number[] = []
  const found: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    await page.goto(`${url}/topology`)
    shown.push(await page.evaluate<number>(`painted('.topology tbody tr.ant-table-row', '')`))
    await sleep(restMs)
    const typedAtMs = await page.evaluate<number>('performance.now()')
    await page.getByPlaceholder('Find a cluster or host').fill(wanted)
    found.push((await page.evaluate<number>(`painted('.tree-name', '${wanted}')`)) - typedAtMs)
  }
  writeSection(
    'topology',
    'The topology page of 10,000 machines',
    ['Chromium of Debian, headless'],
    [
      `An oVirt of 400 hosts and ${machines} machines (simulated), through its connector; the page is loaded anew each time, and typed into a second later. Medians and worst of ${rounds} rounds.\n`,
      '| what | median ms | worst ms |',
      '| --- | ---: | ---: |',
      ...Object.entries({
        'from the address to tree and first machines on the page': shown,
        'from typing a host to it in the tree': found,
      }).map(
        ([what, values]) =>
          `| ${what} | ${Math.round(median(values))} | ${Math.round(Math.max(...values))} |`,
      ),
    ].join('\n'),
  )
} finally {
  await browser.close()
  await site.close()
  await simulator.close()
}
