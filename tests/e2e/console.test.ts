/** A person's first hour in the console, in a real browser. RINGWALL_SCREENSHOTS=folder keeps what it looks like. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSite, eicar, type Site, waitFor } from './harness.ts'

const screenshots = process.env.RINGWALL_SCREENSHOTS
const password = 'Better-Than-Before-42'

let site: Site
let browser: Browser
let page: Page
const errors: string[] = []

beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
  await site.startAgent()
  const folder = join(site.root, 'srv/www')
  mkdirSync(folder, { recursive: true })
  for (let index = 0; index < 300; index += 1)
    writeFileSync(join(folder, `page-${index}.html`), `<p>${index}</p>`)
  // Not the listed content, so that the rules have to find it.
  writeFileSync(join(folder, 'upload.com'), Buffer.concat([eicar, Buffer.from('\n\n')]))
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  page = await browser.newPage({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
  })
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('console', (message) => {
    // Asking who is signed in is answered with 401 before anybody is.
    if (message.type() === 'error' && !message.text().includes('401'))
      errors.push(
        `${message.text()} at ${message.location().url}:${message.location().lineNumber}:${message.location().columnNumber}`,
      )
  })
})
afterAll(async () => {
  await browser?.close()
  await site?.close()
})

const open = async (path: string) => {
  await page.goto(`${String(site.first.url)}${path}`)
  await page.waitForLoadState('networkidle').catch(() => undefined)
}
const keep = async (name: string) => {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `${name}.png`) })
}
/** Nothing may stick out of the window. */
const overflowPx = async () => await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')
/** Columns that a person would have to scroll for, by the name of their table. */
const cutTables = async () =>
  await page.evaluate(`[...document.querySelectorAll('.ant-table-content')]
    .filter((table) => table.scrollWidth > table.clientWidth + 1)
    .map((table) => table.closest('[aria-label]')?.getAttribute('aria-label') ?? table.textContent.slice(0, 60))`)

describe('the console', () => {
  it('asks for an own password at the first sign-in', async () => {
    await open('/')
    await page.getByLabel('User name').fill('admin')
    await keep('login')
    await page.getByLabel('Password', { exact: true }).fill('not the password')
    await page.keyboard.press('Enter')
    await page.getByText('The user name or the password is wrong').waitFor()
    await page.getByLabel('Password', { exact: true }).fill(String(site.first.firstPassword))
    await page.keyboard.press('Enter')
    await page.getByText('Choose a password').waitFor()
    const fields = page.locator('input[type=password]')
    await fields.nth(0).fill(String(site.first.firstPassword))
    await fields.nth(1).fill(password)
    await fields.nth(2).fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
  })

  it('starts a scan and shows it to its end', async () => {
    await open('/machines')
    await page.getByRole('checkbox').nth(1).check()
    await page.getByRole('button', { name: 'Scan 1 machine' }).click()
    await page.getByRole('dialog').getByRole('radio').nth(1).check()
    await page.getByRole('dialog').getByRole('textbox').first().fill(join(site.root, 'srv'))
    await page.getByRole('dialog').getByRole('button', { name: /scan/i }).last().click()
    await page.getByText('Completed').first().waitFor({ timeout: 60_000 })
    await keep('scan')
  })

  it('shows the finding with its evidence, and restores the file', async () => {
    await open('/findings')
    await page.getByText('EICAR test file').first().waitFor()
    await keep('findings')
    await page.getByText('EICAR test file').first().click()
    await page.getByText('eicar_test_file').first().waitFor()
    await keep('finding')
    await open('/quarantine')
    await page.getByText('upload.com').first().waitFor()
    await keep('quarantine')
    await page.getByRole('button', { name: 'Restore' }).first().click()
    await page.locator('.ant-popconfirm').getByRole('button', { name: 'Restore' }).click()
    await waitFor('the restore', async () =>
      (await site.list('/quarantine'))[0]?.state === 'restored' ? true : undefined,
    )
    await page.getByText('Restored').first().waitFor()
  })

  it.each([
    '/',
    '/machines',
    '/scans',
    '/scans/queue',
    '/scans/schedules',
    '/scans/runs',
    '/scans/limits',
    '/findings',
    '/hashes',
    '/allow-list',
    '/cache',
    '/topology',
    '/assets',
    '/pools',
    '/inventory-issues',
    '/lineage',
    '/platforms',
    '/quarantine',
    '/alarms',
    '/policy',
    '/enrol',
    '/users',
    '/audit',
    '/health',
  ])('shows %s at 1280 and 1920 without a break, in both languages', async (path) => {
    for (const width of [1280, 1920]) {
      await page.setViewportSize({ width, height: 800 })
      await open(path)
      await page.getByRole('heading', { level: 1 }).waitFor()
      expect(await overflowPx()).toBeLessThanOrEqual(0)
      expect(await cutTables()).toEqual([])
    }
    await page.setViewportSize({ width: 1280, height: 800 })
    await page.waitForTimeout(300)
    await keep({ '/': 'overview' }[path] ?? path.slice(1).replace('/', '-'))
    await page.getByRole('button', { name: '中文' }).click()
    await page.getByRole('button', { name: 'English' }).waitFor()
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toMatch(/[\u4e00-\u9fff]/)
    if (path === '/') await keep('overview-zh')
    await page.getByRole('button', { name: 'English' }).click()
    await page.getByRole('button', { name: '中文' }).waitFor()
  })

  it('can be dark', async () => {
    await open('/')
    await page.getByRole('button', { name: /dark/i }).click()
    await page.waitForTimeout(500)
    await keep('overview-dark')
    expect(await page.evaluate('document.documentElement.dataset.mode')).toBe('dark')
  })

  it('made no error in the browser', () => {
    expect(errors).toEqual([])
  })
})
