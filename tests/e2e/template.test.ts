import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSite, type Json, runProgram, type Site, waitFor } from './harness.ts'

const files = 600
let site: Site
let machineId: string

/** Everything on this machine but the site's own folder: a whole scan is then a small one. */
function everythingElse(): string[] {
  const below = (folder: string, kept: string) =>
    readdirSync(folder)
      .filter((name) => name !== kept)
      .map((name) => join(folder, name))
  return [...below('/', 'tmp'), ...below('/tmp', basename(site.root))].slice(0, 500)
}

beforeAll(async () => {
  site = await createSite()
  await site.startScanner()
  machineId = await site.startAgent()
  const tree = join(site.root, 'tree')
  for (let index = 0; index < files; index += 1) {
    mkdirSync(join(tree, `${index % 20}`), { recursive: true })
    writeFileSync(join(tree, `${index % 20}`, `${index}`), `file ${index}`)
  }
  // What was written a moment ago would be looked at twice.
  await new Promise((resolve) => setTimeout(resolve, 2500))
})
afterAll(async () => await site?.close())

it('is sealed; its copies enrol by themselves, know where they are from, and have its manifest', async () => {
  const policy = (await site.get<{ policy: Json }>('/policies/malware')).policy
  const changed = await site.api('PUT', '/policies/malware', { ...policy, excludePaths: everythingElse() })
  expect(changed.status).toBe(200)
  // The agent has the policy when it says that it applied the state with it.
  await new Promise((resolve) => setTimeout(resolve, 3000))
  const busy = await runProgram('agent', ['seal'], site.homeOf('agent'))
  expect(busy).toMatchObject({ code: 1, stderr: expect.stringContaining('[conflict]') })
  await new Promise((resolve) => setTimeout(resolve, 2000))
  await site.running.get('agent')?.kill('SIGTERM')

  const token = await site.token('agent')
  const args = ['template', 'seal', '--keep-token', token, '--json']
  const sealed = await runProgram('cli', args, site.homeOf('agent'))
  expect(sealed).toMatchObject({ code: 0 })
  expect(JSON.parse(sealed.stdout)).toMatchObject({ templateId: machineId, found: [], keepsToken: true })
  for (const name of ['identity.json', 'desired.json', 'spool'])
    expect(existsSync(join(site.homeOf('agent'), 'agent', name))).toBe(false)

  site.copyHome('agent', 'copy')
  const { ready } = await site.start('agent', 'copy')
  const id = String(ready.id)
  expect(id).not.toBe(machineId)
  const { machine } = await waitFor('the copy', async () => {
    const found = await site.get<{ machine: Json }>(`/machines/${id}`)
    return found.machine.linkState === 'online' ? found : undefined
  })
  expect(machine).toMatchObject({ lineage: { parentId: machineId } })
  const scan = await site.endOf(await site.startScan(id, [join(site.root, 'tree')]))
  expect(scan).toMatchObject({
    state: 'completed',
    progress: { filesJudged: files, filesFromManifest: files },
  })
})
