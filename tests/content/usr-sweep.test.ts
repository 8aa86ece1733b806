/** Our rules over everything in /usr of the machine that runs this: an honest system must show no finding. */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createYaraEngine } from '@ringwall/engines'
import { expect, it } from 'vitest'

const folder = join(import.meta.dirname, '../../content/signatures')
const maxBytes = 32 * 1024 * 1024
const timeoutMs = 10 * 60_000

function* filesBelow(path: string): Generator<string> {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* filesBelow(child)
    else if (entry.isFile()) yield child
  }
}

it('finds nothing in /usr', { timeout: timeoutMs }, () => {
  const engine = createYaraEngine(
    readdirSync(folder).map((name) => ({ name, source: readFileSync(join(folder, name), 'utf8') })),
    'sweep',
  )
  const buffer = Buffer.allocUnsafe(maxBytes)
  const seen = new Set<string>()
  const found: string[] = []
  let files = 0
  for (const path of filesBelow('/usr')) {
    const file = openSync(path, 'r')
    const { dev, ino, size } = fstatSync(file)
    const key = `${dev}:${ino}`
    if (!seen.has(key) && size <= maxBytes) {
      seen.add(key)
      const bytes = buffer.subarray(0, readSync(file, buffer, 0, size, 0))
      const findings = engine.scan({
        content: { kind: 'bytes', bytes },
        sha256: '',
        sizeBytes: bytes.length,
        earlier: [],
      })
      for (const { rule } of findings)
        found.push(`${rule} in ${path} (${createHash('sha256').update(bytes).digest('hex')})`)
      files += 1
    }
    closeSync(file)
  }
  expect(found).toEqual([])
  expect(files).toBeGreaterThan(1000)
})
