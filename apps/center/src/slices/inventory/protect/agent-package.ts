import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { AppError } from '@ringwall/contracts'

export type AgentPackage = { path: string; sha256: string; sizeBytes: number }

/** The package that is handed out, hashed once per version of the file. Throws agent_package_missing. */
export function createAgentPackage(path: string): () => Promise<AgentPackage> {
  let known: { key: string; hashing: Promise<AgentPackage> } | undefined
  async function hash(sizeBytes: number): Promise<AgentPackage> {
    const digest = createHash('sha256')
    for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer)
    return { path, sha256: digest.digest('hex'), sizeBytes }
  }
  return async () => {
    const found = await stat(path).catch(() => undefined)
    if (found === undefined) throw new AppError('agent_package_missing')
    const key = `${found.size} ${found.mtimeMs}`
    if (known?.key !== key) known = { key, hashing: hash(found.size) }
    return await known.hashing
  }
}
