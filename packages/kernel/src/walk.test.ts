import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compileWalker } from './testing/compiled-walker.ts'
import { sortRoots, type WalkMount, type WalkOptions, walkInHelper } from './walk.ts'
import { walkInNode } from './walk-in-node.ts'
import { identityBytes, identityOf, WalkReader, walkKinds, walkReasons } from './walk-stream.ts'

const built = join(mkdtempSync(join(tmpdir(), 'walker-')), 'ringwall-walk')
const hasHelper = compileWalker(built)
afterAll(() => rmSync(join(built, '..'), { recursive: true, force: true }))

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'walk-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const walkers: [string, (options: WalkOptions) => AsyncGenerator<Buffer>][] = [
  ['in Node', walkInNode],
  ...(hasHelper
    ? ([['in the helper', (options: WalkOptions) => walkInHelper(built, options)]] as [
        string,
        (options: WalkOptions) => AsyncGenerator<Buffer>,
      ][])
    : []),
]

describe.each(walkers)('the walk %s', (_, walk) => {
  async function look(
    options: { roots?: string[]; excluded?: string[]; mounts?: WalkMount[] } = {},
    cut?: number,
  ) {
    const reader = new WalkReader()
    const files: string[] = []
    const skipped: string[] = []
    const identities = new Map<string, Buffer>()
    const short = () =>
      reader
        .currentPath()
        .toString('latin1')
        .slice(root.length + 1)
    const roots = (options.roots ?? [root]).map((path) => Buffer.from(path))
    const chunks = walk({
      roots,
      excluded: (options.excluded ?? []).map((path) => Buffer.from(path)),
      mounts: options.mounts ?? [],
    })
    for await (const whole of chunks) {
      // Cut into pieces, as a pipe may do it.
      for (let at = 0; at < whole.length; at += cut ?? whole.length) {
        reader.push(whole.subarray(at, at + (cut ?? whole.length)))
        while (reader.next()) {
          if (reader.kind === walkKinds.skipped) skipped.push(`${walkReasons[reader.reason]} ${short()}`)
          if (reader.kind !== walkKinds.file) continue
          files.push(short())
          const { bytes, identityAt } = reader
          identities.set(short(), Buffer.from(bytes.subarray(identityAt, identityAt + identityBytes)))
        }
      }
    }
    return { files, skipped, identities, isWhole: reader.isEnd }
  }

  it('sees every file once, in byte order of paths, and no link, FIFO or device as a file', async () => {
    mkdirSync(join(root, 'a/b'), { recursive: true })
    writeFileSync(join(root, 'a/b/one'), 'x')
    writeFileSync(join(root, 'a-b'), '')
    writeFileSync(join(root, 'a0'), '')
    symlinkSync(root, join(root, 'a/loop'))
    symlinkSync('nowhere', join(root, 'dangling'))
    execFileSync('mkfifo', [join(root, 'fifo')])
    writeFileSync(Buffer.concat([Buffer.from(`${root}/odd\n`), Buffer.from([0xff])]), '')
    for (const cut of [undefined, 1, 7]) {
      const { files, skipped, identities, isWhole } = await look({}, cut)
      expect({ files, skipped, isWhole }).toEqual({
        files: ['a-b', 'a/b/one', 'a0', 'odd\n\xff'],
        skipped: ['symlink a/loop', 'symlink dangling', 'special_file fifo'],
        isWhole: true,
      })
      expect(identities.get('a/b/one')).toEqual(
        identityOf(lstatSync(join(root, 'a/b/one'), { bigint: true })),
      )
    }
  })

  it('tells roots that are no directories for what they are', async () => {
    writeFileSync(join(root, 'file'), '')
    symlinkSync(root, join(root, 'link'))
    expect(await look({ roots: ['file', 'gone', 'link'].map((name) => join(root, name)) })).toMatchObject({
      files: ['file'],
      skipped: ['vanished gone', 'symlink link'],
    })
  })

  it('leaves out what is excluded, and only that', async () => {
    for (const name of ['keep', 'keep-not']) {
      mkdirSync(join(root, name))
      writeFileSync(join(root, name, 'file'), '')
    }
    expect(await look({ excluded: [join(root, 'keep')] })).toMatchObject({
      files: ['keep-not/file'],
      skipped: ['excluded keep'],
    })
  })

  it('enters local file systems only', async () => {
    for (const name of ['proc', 'nfs', 'disk']) {
      mkdirSync(join(root, name))
      writeFileSync(join(root, name, 'file'), '')
    }
    const mounts: WalkMount[] = [
      { path: Buffer.from(join(root, 'proc')), rule: 'pseudo_fs' },
      { path: Buffer.from(join(root, 'nfs')), rule: 'remote_fs' },
      { path: Buffer.from(join(root, 'disk')), rule: 'local' },
    ]
    expect(await look({ mounts })).toMatchObject({
      files: ['disk/file'],
      skipped: ['remote_fs nfs', 'pseudo_fs proc'],
    })
  })

  it('takes long names, deep folders and many files', async () => {
    const deep = join(root, ...Array.from({ length: 14 }, () => 'd'.repeat(250)))
    mkdirSync(deep, { recursive: true })
    writeFileSync(join(deep, 'bottom'), '')
    mkdirSync(join(root, 'many'))
    for (let index = 0; index < 3000; index += 1) writeFileSync(join(root, 'many', `${index}`), '')
    const { files } = await look()
    expect(files).toHaveLength(3001)
    expect(files).toEqual(
      [...files].sort((a, b) => Buffer.from(a, 'latin1').compare(Buffer.from(b, 'latin1'))),
    )
  })
})

describe('roots', () => {
  it('are sorted as a walk meets them, without those below another', () => {
    const roots = ['/a', '/a-b', '/a/c', '/a0', '/a', '/b'].map((path) => Buffer.from(path))
    expect(sortRoots(roots, (path) => path.toString() !== '/b').map(String)).toEqual([
      '/a-b',
      '/a',
      '/a0',
      '/b',
    ])
    expect(sortRoots([Buffer.from('/x'), Buffer.from('/')], () => true).map(String)).toEqual(['/'])
  })
})

describe('a stream of a walk', () => {
  it('that is none is refused', () => {
    const reader = new WalkReader()
    reader.push(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0]))
    expect(() => reader.next()).toThrow(RangeError)
  })
})
