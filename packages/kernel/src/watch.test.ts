import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { compileHelper } from './compile.ts'
import { mountPrivate } from './testing/private-mount.ts'
import { openWatch, type Watch, type WatchGap } from './watch.ts'

const probe = mountPrivate()
probe?.unmount()
if (probe === undefined) process.stderr.write('watch.test: skipped, this account may not mount\n')

describe.skipIf(probe === undefined)('the watch', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ringwall-watch-build-'))
  const helperPath = join(dir, 'ringwall-guard')
  let mount: { path: string; unmount: () => void }
  let watch: Watch
  let paths: string[] = []
  let gaps: WatchGap[] = []
  let mountChanges = 0

  beforeAll(() => compileHelper(helperPath, { isSanitized: true }))
  afterAll(() => rmSync(dir, { recursive: true }))
  beforeEach(async () => {
    mount = mountPrivate() ?? { path: '', unmount: () => undefined }
    paths = []
    gaps = []
    mountChanges = 0
    watch = await openWatch({
      helperPath,
      onChanged: (changed) => {
        for (const path of changed) paths.push(path.toString('latin1').replace(`${mount.path}/`, ''))
      },
      onGap: (gap) => gaps.push(gap),
      onMountsChanged: () => {
        mountChanges += 1
      },
      onEnd: () => undefined,
    })
    expect(await watch.mark(Buffer.from(mount.path))).toBeUndefined()
  })
  afterEach(async () => {
    await watch.close()
    mount.unmount()
  })
  const at = (name: string) => join(mount.path, name)

  it('tells what was written, made, linked, renamed and deleted, each path once', async () => {
    mkdirSync(at('folder'))
    for (let round = 0; round < 3; round += 1) writeFileSync(at('folder/file'), `round ${round}`)
    linkSync(at('folder/file'), at('link'))
    copyFileSync('/bin/true', at('gone'))
    unlinkSync(at('gone'))
    await watch.settle()
    expect(new Set(paths)).toEqual(new Set(['folder', 'folder/file', 'link', 'gone']))
    expect(paths.length).toBe(4)
    paths = []
    renameSync(at('folder'), at('moved'))
    await watch.settle()
    expect(paths).toEqual(['moved'])
  })

  it('tells everything again after a new stretch, and nothing twice before', async () => {
    writeFileSync(at('file'), 'one')
    await watch.settle()
    writeFileSync(at('file'), 'two')
    await watch.settle()
    expect(paths).toEqual(['file'])
    await watch.beginStretch(() => paths.push('--'))
    writeFileSync(at('file'), 'three')
    await watch.settle()
    expect(paths).toEqual(['file', '--', 'file'])
  })

  it('keeps names that are no text', async () => {
    writeFileSync(Buffer.from(`${mount.path}/\xff\x01 `, 'latin1'), 'x')
    await watch.settle()
    expect(paths).toEqual(['\xff\x01 '])
  })

  it('says when the queue of the kernel was full', async () => {
    process.kill(watch.pid, 'SIGSTOP')
    for (let index = 0; index < 20_000; index += 1) writeFileSync(at(`f${index}`), '')
    process.kill(watch.pid, 'SIGCONT')
    await watch.settle()
    expect(gaps).toEqual(['overflow'])
  })

  it('says that mounts changed, and does not keep a file system from being unmounted', async () => {
    const other = mountPrivate()
    if (other === undefined) throw new Error('no second mount')
    expect(await watch.mark(Buffer.from(other.path))).toBeUndefined()
    writeFileSync(join(other.path, 'x'), 'x')
    await watch.settle()
    expect(paths).toEqual([`${other.path}/x`])
    other.unmount()
    await expect.poll(() => mountChanges).toBeGreaterThan(0)
  })

  it('names why a file system cannot be watched', async () => {
    expect(await watch.mark(Buffer.from('/proc'))).toBeDefined()
    expect(await watch.mark(Buffer.from(at('missing')))).toBe('ENOENT')
  })
})
