import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fsIdSchema, idSchema, manifestLimits, manifestSampleSchema } from '@ringwall/contracts'
import { makePrivateDirectory, readJsonFile, syncDirectory, writeJsonFile } from '@ringwall/runtime'
import { z } from 'zod'

/** Of one machine: the manifests of this many file systems, the newest. */
const maxPerMachine = 16

const metaSchema = z.object({
  machineId: idSchema,
  fsId: fsIdSchema,
  sample: manifestSampleSchema,
  /** Of the SHA-256 of the packed bytes, with the key of the certificate; base64. */
  signature: z.string().max(400),
  certificatePem: z.string().max(8000),
  sizeBytes: z.number().int().nonnegative(),
  receivedAtMs: z.number(),
})
export type ManifestMeta = z.infer<typeof metaSchema>
export type KeptManifest = ManifestMeta & { path: string }

/** The share of the caller's sample that a manifest has, too. */
function likeness(sample: ReadonlySet<string>, other: string[]): number {
  return other.filter((digest) => sample.has(digest)).length / Math.max(1, sample.size)
}

/**
 * The newest packed manifest of each file system of each machine, within a budget of bytes: the oldest go first.
 * They are signed by the agents that made them; nothing here looks inside.
 */
export function openManifestStore(dir: string, capBytes: number) {
  makePrivateDirectory(dir)
  const kept = new Map<string, ManifestMeta>()
  const nameOf = ({ machineId, fsId }: Pick<ManifestMeta, 'machineId' | 'fsId'>) => `${machineId}.${fsId}`
  const bodyOf = (name: string) => join(dir, `${name}.packed`)
  const metaOf = (name: string) => join(dir, `${name}.json`)

  function remove(name: string): void {
    kept.delete(name)
    rmSync(metaOf(name), { force: true })
    rmSync(bodyOf(name), { force: true })
  }

  for (const file of readdirSync(dir)) {
    const name = file.replace(/\.(json|packed|[0-9a-f]+\.part)$/, '')
    if (!file.endsWith('.json')) {
      if (!existsSync(metaOf(name))) rmSync(join(dir, file), { force: true })
      continue
    }
    try {
      const meta = readJsonFile(metaOf(name), metaSchema)
      if (meta !== undefined && statSync(bodyOf(name)).size === meta.sizeBytes) kept.set(name, meta)
      else remove(name)
    } catch {
      remove(name)
    }
  }

  function prune(): void {
    const oldestFirst = [...kept].sort(([, a], [, b]) => a.receivedAtMs - b.receivedAtMs)
    let total = oldestFirst.reduce((sum, [, { sizeBytes }]) => sum + sizeBytes, 0)
    const byMachine = Map.groupBy(oldestFirst, ([, { machineId }]) => machineId)
    for (const [name, { machineId, sizeBytes }] of oldestFirst) {
      const own = byMachine.get(machineId) ?? []
      if (total <= capBytes && own.length <= maxPerMachine) continue
      own.shift()
      total -= sizeBytes
      remove(name)
    }
  }

  return {
    /** Where the bytes of an upload go until `keep`. */
    partPath: (machineId: string, fsId: string): string => {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      const part = createHash('sha256')
        .update(`${performance.now()}${Math.random()}`)
        .digest('hex')
        .slice(0, 12)
      return join(dir, `${machineId}.${fsId}.${part}.part`)
    },

    /** Takes the file at `partPath` as the newest manifest of its machine and file system. */
    keep: (partPath: string, meta: ManifestMeta): void => {
      const name = nameOf(meta)
      // The meta of the old bytes must never stand beside the new ones.
      rmSync(metaOf(name), { force: true })
      renameSync(partPath, bodyOf(name))
      syncDirectory(dir)
      writeJsonFile(metaOf(name), meta, { mode: 0o600 })
      kept.set(name, meta)
      prune()
    },

    /**
     * The manifest for a machine with this sample of files: its parent's, or without a parent that of the machine
     * most like it. Whoever does not have half of the files gets none.
     */
    match: (
      fsId: string,
      sample: string[],
      parentId: string | null,
      callerId: string,
    ): KeptManifest | undefined => {
      const wanted = new Set(sample)
      let best: { meta: ManifestMeta; score: number } | undefined
      for (const meta of kept.values()) {
        if (meta.fsId !== fsId || meta.machineId === callerId) continue
        if (parentId !== null && meta.machineId !== parentId) continue
        const score = likeness(wanted, meta.sample)
        const isBetter =
          best === undefined ||
          score > best.score ||
          (score === best.score && meta.receivedAtMs > best.meta.receivedAtMs)
        if (score >= manifestLimits.minLikeness && isBetter) best = { meta, score }
      }
      return best && { ...best.meta, path: bodyOf(nameOf(best.meta)) }
    },

    get figures() {
      return {
        manifests: kept.size,
        manifestBytes: [...kept.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      }
    },
  }
}
export type ManifestStore = ReturnType<typeof openManifestStore>
