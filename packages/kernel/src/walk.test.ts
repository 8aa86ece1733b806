import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compileWalker } from './compile.ts'
import { sortRoots, type WalkMount, type WalkOptions, walkInHelper } from './walk.ts'
import { walkInNode } from './walk-in-node.ts'
import { identityBytes, identityOf, WalkReader, walkKinds, walkReasons } from './walk-stream.ts'

const folder = mkdtempSync(join(tmpdir(), 'walker-'))
const [built, forThreads] = [join(folder, 'walk'), join(folder, 'walk-threads')]
compileWalker(built, 'memory')
compileWalker(forThreads, 'threads')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'walk-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const walkers: [string, (options: WalkOptions) => AsyncGenerator<Buffer>][] = [
  ['in Node', walkInNode],
  ['in the helper', (options) => walkInHelper(built, options)],
  ['in the helper with two threads', (options) => walkInHelper(built, { ...options, isAhead: true })],
  [
    'in the helper with two watched threads',
    (options) => walkInHelper(forThreads, { ...options, isAhead: true }),
  ],
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

it('tells the same with two threads as with one, also when they are held up, or names are too many to look ahead', async () => {
  const touch = (path: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), '')
  }
  for (let index = 0; index < 700; index += 1) for (const name of 'abc') touch(`wide/${index}/${name}/file`)
  for (let index = 0; index < 4200; index += 1) touch(`many/${index}`)
  for (let index = 0; index < 20; index += 1) touch(`many/folder-${index}/sub/file`)
  touch('left-out/deep/er/file')
  touch('wide/5/nfs/file')
  async function told(walker: string, isAhead: boolean): Promise<Buffer> {
    const chunks: Buffer[] = []
    const options = {
      roots: [Buffer.from(root)],
      excluded: [Buffer.from(join(root, 'left-out'))],
      mounts: [{ path: Buffer.from(join(root, 'wide/5/nfs')), rule: 'remote_fs' as const }],
      isAhead,
    }
    for await (const chunk of walkInHelper(walker, options)) {
      chunks.push(chunk)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return Buffer.concat(chunks)
  }
  const alone = await told(built, false)
  expect(alone.length).toBeGreaterThan(4200 * identityBytes)
  for (const walker of [built, forThreads]) expect((await told(walker, true)).equals(alone)).toBe(true)
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
