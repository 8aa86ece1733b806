import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compileWalker } from './compile.ts'
import { noIdentity, recordHeaderBytes } from './records.ts'
import { sortRoots, type WalkOptions, walkInHelper } from './walk.ts'
import { walkInNode } from './walk-in-node.ts'
import { identityBytes, identityOf, WalkReader, walkKinds } from './walk-stream.ts'

const built = join(mkdtempSync(join(tmpdir(), 'walker-')), 'ringwall-walk')
compileWalker(built, 'memory')
afterAll(() => rmSync(dirname(built), { recursive: true, force: true }))

/** What a record of these tests has behind its identity: a mark that must be 1, and a byte that does not matter. */
const settled = { mask: Buffer.from([0xff, 0]), value: Buffer.from([1, 0]) }
const restBytes = 2

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'baseline-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function statOf(path: Buffer | string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}

type Entry = { path: string; identity: Buffer; mark: number }

/** Records with the prefixes of their paths, in blocks of three. */
function* blocksOf(entries: Entry[]): Generator<Buffer> {
  const sorted = [...entries].sort((a, b) => Buffer.from(a.path).compare(Buffer.from(b.path)))
  let before = Buffer.alloc(0)
  let block: Buffer[] = []
  for (const [index, { path, identity, mark }] of sorted.entries()) {
    const bytes = Buffer.from(path)
    let shared = 0
    if (index % 3 !== 0)
      while (shared < before.length && shared < bytes.length && before[shared] === bytes[shared]) shared += 1
    const head = Buffer.alloc(recordHeaderBytes)
    head.writeUInt16LE(shared, 0)
    head.writeUInt16LE(bytes.length - shared, 2)
    block.push(head, bytes.subarray(shared), identity, Buffer.from([mark, index & 0xff]))
    before = bytes
    if (index % 3 !== 2) continue
    yield Buffer.concat(block)
    block = []
  }
  if (block.length > 0) yield Buffer.concat(block)
}

const walkers: [string, (options: WalkOptions) => AsyncGenerator<Buffer>][] = [['in Node', walkInNode]]
walkers.push(['in the helper', (options) => walkInHelper(built, options)])
walkers.push([
  'in the helper with two threads',
  (options) => walkInHelper(built, { ...options, isAhead: true }),
])

type Said = { told: string[]; unchanged: number }

async function hear(
  walk: (options: WalkOptions) => AsyncGenerator<Buffer>,
  options: {
    layers: Iterable<Buffer>[]
    roots?: string[]
    told?: string[]
    samplePermille?: number
    latestCtimeNs?: bigint
    triedPpm?: number
  },
): Promise<Said & { damaged: number }> {
  const reader = new WalkReader(restBytes)
  const said: Said & { damaged: number } = { told: [], unchanged: 0, damaged: 0 }
  const all = [...(options.roots ?? (options.told === undefined ? [root] : [])), ...(options.told ?? [])]
  const chunks = walk({
    roots: sortRoots(
      all.map((path) => Buffer.from(path)),
      (path) => statOf(path)?.isDirectory() ?? false,
    ),
    excluded: [],
    mounts: [],
    toldRoots: new Set(options.told),
    baseline: {
      of: [
        {
          mount: 0,
          layers: options.layers,
          onDamaged: () => (said.damaged += 1),
          ...(options.triedPpm === undefined ? {} : { triedPpm: options.triedPpm }),
        },
      ],
      settled,
      samplePermille: options.samplePermille ?? 0,
      latestCtimeNs: options.latestCtimeNs ?? 2n ** 62n,
    },
  })
  for await (const chunk of chunks) {
    reader.push(chunk)
    while (reader.next()) {
      const name = () => reader.currentPath().toString().slice(root.length)
      if (reader.kind === walkKinds.unchanged) said.unchanged += reader.count
      else if (reader.kind === walkKinds.gone) said.told.push(`gone ${name()}`)
      else if (reader.kind === walkKinds.file)
        said.told.push(`${reader.reason === 1 ? 'changed' : 'new'} ${name()}`)
      else if (reader.kind === walkKinds.known)
        said.told.push(
          `${reader.reason === 1 ? 'picked' : 'known'} ${name()} ${reader.bytes[reader.identityAt + identityBytes]}`,
        )
    }
  }
  expect(reader.isEnd).toBe(true)
  return said
}

const now = (name: string): Buffer => identityOf(lstatSync(join(root, name), { bigint: true }))
const entry = (name: string, mark = 1, identity = now(name)): Entry => ({
  path: join(root, name),
  identity,
  mark,
})
const made = (...names: string[]) => {
  for (const name of names) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), name)
  }
}

describe.each(walkers)('a walk with a baseline %s', (_, walk) => {
  it('tells what differs, and counts the rest', async () => {
    made('a', 'b/c', 'b-c', 'b0', 'd/e', 'f')
    const elsewhere = Buffer.alloc(identityBytes, 7)
    const old = [
      entry('a'),
      entry('b-c', 1, elsewhere),
      entry('b/c', 9),
      { path: join(root, 'b/gone'), identity: elsewhere, mark: 1 },
      entry('d/e'),
      entry('f'),
      { path: join(root, 'z'), identity: elsewhere, mark: 1 },
      { path: `${root}-outside`, identity: elsewhere, mark: 1 },
    ]
    expect(await hear(walk, { layers: [blocksOf(old)] })).toEqual({
      told: ['changed /b-c', 'known /b/c 9', 'gone /b/gone', 'new /b0', 'gone /z'],
      unchanged: 3,
      damaged: 0,
    })
  })

  it('believes the first layer that has a path, and a tombstone', async () => {
    made('a', 'b', 'c')
    const base = [entry('a', 9), entry('b'), entry('c')]
    const delta = [entry('a'), entry('b', 1, noIdentity), { ...entry('c', 1), path: join(root, 'c0') }]
    expect(await hear(walk, { layers: [blocksOf(delta), blocksOf(base)] })).toMatchObject({
      told: ['new /b', 'gone /c0'],
      unchanged: 2,
    })
  })

  it('picks settled files at random, and those that it was told to', async () => {
    const names = Array.from({ length: 400 }, (_, index) => `${index % 7}/${index}`)
    made(...names)
    const layers = () => [blocksOf(names.map((name) => entry(name)))]
    const all = await hear(walk, { layers: layers(), samplePermille: 1000 })
    expect(all).toMatchObject({ unchanged: 0 })
    expect(all.told).toHaveLength(400)
    const some = await hear(walk, { layers: layers(), samplePermille: 500 })
    expect(some.told.length + some.unchanged).toBe(400)
    expect(Math.abs(some.unchanged - 200)).toBeLessThan(100)
    const [first = '', second = ''] = names
    const told = await hear(walk, {
      layers: layers(),
      told: [join(root, first)],
      roots: [join(root, second)],
    })
    expect(told).toMatchObject({ told: [`picked /${first} 1`], unchanged: 1 })
  })

  it("tries another machine's records: programs more often, and always those with other rights", async () => {
    const names = Array.from({ length: 600 }, (_, index) => `${index % 7}/${index}`)
    made(...names)
    for (const [index, name] of names.entries())
      if (index % 3 > 0) chmodSync(join(root, name), index % 3 === 1 ? 0o755 : 0o2644)
    // Half of them are not settled.
    const layers = () => [blocksOf(names.map((name, index) => entry(name, 1 + (index & 1))))]
    const { told, unchanged } = await hear(walk, { layers: layers(), triedPpm: 50_000 })
    const picked = told.filter((line) => line.startsWith('picked'))
    const ofKind = (kind: number) =>
      picked.filter((line) => Number(/(\d+) [12]$/.exec(line)?.[1]) % 3 === kind).length
    expect(ofKind(2)).toBe(200)
    expect(Math.abs(ofKind(1) - 100)).toBeLessThan(50)
    expect(ofKind(0)).toBeLessThan(40)
    expect(picked.filter((line) => line.endsWith(' 2')).length).toBeGreaterThan(100)
    expect(told.length + unchanged).toBe(600)
    expect((await hear(walk, { layers: layers(), triedPpm: 1_000_000 })).told).toHaveLength(600)
  })

  it('does not believe a time that is yet to come', async () => {
    made('a')
    const layers = [blocksOf([entry('a')])]
    const { ctimeNs } = lstatSync(join(root, 'a'), { bigint: true })
    expect(await hear(walk, { layers, latestCtimeNs: ctimeNs - 1n })).toMatchObject({ told: ['changed /a'] })
  })

  it('takes a layer that breaks off for one that ends there', async () => {
    made('a', 'b', 'c', 'd')
    function* broken() {
      yield* blocksOf(['a', 'b', 'c'].map((name) => entry(name)))
      throw new Error('a bad block')
    }
    expect(await hear(walk, { layers: [broken()] })).toEqual({ told: ['new /d'], unchanged: 3, damaged: 1 })
  })

  it('tells the files of a folder that is gone, has become a file, or is not to be entered', async () => {
    made('was-folder', 'x/kept')
    symlinkSync('/nowhere', join(root, 'link'))
    const identity = Buffer.alloc(identityBytes, 7)
    const old = ['gone/1', 'gone/2', 'gone-not', 'was-folder/1', 'link/1'].map((name) => ({
      path: join(root, name),
      identity,
      mark: 1,
    }))
    const roots = ['gone', 'was-folder', 'link', 'x'].map((name) => join(root, name))
    expect((await hear(walk, { layers: [blocksOf([...old, entry('x/kept')])], roots })).told.sort()).toEqual([
      'gone /gone/1',
      'gone /gone/2',
      'gone /link/1',
      'gone /was-folder/1',
      'new /was-folder',
    ])
  })
})

const nameArbitrary = fc
  .array(fc.constantFrom('a', 'b', 'a-', 'a0'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
type Fate = 'unchanged' | 'changed' | 'unsettled' | 'unknown' | 'gone'
const fates = fc.constantFrom<Fate>('unchanged', 'changed', 'unsettled', 'unknown', 'gone')

it('is the same with the helper as without, whatever there is', async () => {
  let run = 0
  const top = root
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(nameArbitrary, fc.tuple(fates, fc.boolean()), { maxKeys: 14 }),
      fc.option(nameArbitrary, { nil: undefined }),
      async (fateOf, scope) => {
        run += 1
        root = join(top, `${run}`)
        mkdirSync(root)
        const base: Entry[] = []
        const delta: Entry[] = []
        for (const [name, [fate, isInDelta]] of Object.entries(fateOf)) {
          try {
            if (fate !== 'gone') made(name)
          } catch {
            // A file of that name is in the way of a folder.
            continue
          }
          const isFile = statOf(join(root, name))?.isFile() ?? false
          const identity = fate === 'gone' || !isFile ? Buffer.alloc(identityBytes, 7) : now(name)
          if (fate === 'changed') identity[0] = (identity[0] ?? 0) ^ 1
          if (fate === 'unknown') continue
          const record = { path: join(root, name), identity, mark: fate === 'unsettled' ? 2 : 1 }
          ;(isInDelta ? delta : base).push(record)
          if (isInDelta) base.push({ ...record, identity: Buffer.alloc(identityBytes, 8) })
        }
        const options = () => ({
          layers: [blocksOf(delta), blocksOf(base)],
          ...(scope === undefined ? {} : { roots: [join(root, scope)] }),
        })
        const inHelper = await hear((given) => walkInHelper(built, given), options())
        for (const [, walk] of walkers) expect(await hear(walk, options())).toEqual(inHelper)
        // Everything that there is comes up once, as what it is.
        if (scope === undefined) {
          const files = inHelper.told.filter((line) => !line.startsWith('gone'))
          const there = Object.keys(fateOf).filter((name) => statOf(join(root, name))?.isFile())
          expect(files.length + inHelper.unchanged).toBe(there.length)
        }
      },
    ),
    { numRuns: 40 },
  )
})

it('refuses what is no baseline, and does not trip over it', async () => {
  made('a', 'b')
  const good = Buffer.concat([...blocksOf([entry('a'), entry('b')])])
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.boolean(), async (at, value, isCut) => {
      const bad = Buffer.from(good)
      bad[at] = value
      const layer = isCut ? bad.subarray(0, at) : bad
      const said = await hear((given) => walkInHelper(built, given), { layers: [[layer]] }).catch(
        (error: Error) => error,
      )
      if (said instanceof Error) expect(String(said)).toMatch(/walk: (a layer is cut|no record) \(65\)/)
      else expect(said.told.filter((line) => !line.startsWith('gone')).length + said.unchanged).toBe(2)
    }),
    { numRuns: 40 },
  )
})
