import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '@ringwall/contracts'
import { z } from 'zod'
import { makePrivateDirectory, readJsonFile, writeJsonFile } from '../atomic-file.ts'

const addressSchema = z.object({ host: z.string(), port: z.number().int() })

/** Who this agent or scanner is: everything needed to speak to its center, in one file, replaced as a whole. */
export const identitySchema = z.object({
  role: z.enum(['agent', 'scanner']),
  id: z.uuid(),
  keyPem: z.string(),
  certificatePem: z.string(),
  caPem: z.string(),
  policyKeyPem: z.string(),
  contentKeyPem: z.string(),
  center: addressSchema,
  /** The last ratchet that the center gave; '' before the first. A clone is told by it. */
  ratchet: z.string(),
  /** Set while a split or renewal is under way: the new key that waits for its certificate. */
  pendingKeyPem: z.string().optional(),
})
export type Identity = z.infer<typeof identitySchema>

export type IdentityStore = { current: () => Identity; update: (change: Partial<Identity>) => void }

function identityPath(dir: string): string {
  return join(dir, 'identity.json')
}

/** Whether there is an identity in `dir`. */
export function hasIdentity(dir: string): boolean {
  return existsSync(identityPath(dir))
}

/** Writes a first identity. Throws already_enrolled when there is one. */
export function createIdentity(dir: string, identity: Identity): void {
  makePrivateDirectory(dir)
  if (hasIdentity(dir))
    throw new AppError('already_enrolled', {
      role: identity.role,
      id: openIdentity(dir).current().id,
      path: dir,
    })
  writeJsonFile(identityPath(dir), identity, { mode: 0o600 })
}

/** Opens the identity in `dir`; changes are durable when `update` returns. Throws not_enrolled, file_damaged. */
export function openIdentity(dir: string, role: Identity['role'] = 'agent'): IdentityStore {
  let identity = readJsonFile(identityPath(dir), identitySchema)
  if (identity === undefined) throw new AppError('not_enrolled', { role })
  let known: Identity = identity
  return {
    current: () => known,
    update: (change) => {
      const { pendingKeyPem, ...rest } = { ...known, ...change }
      identity = pendingKeyPem === undefined || pendingKeyPem === '' ? rest : { ...rest, pendingKeyPem }
      writeJsonFile(identityPath(dir), identity, { mode: 0o600 })
      known = identity
    },
  }
}

/** Takes the identity out of a golden image, so that each machine made from it enrols by itself. */
export function removeIdentity(dir: string): void {
  rmSync(identityPath(dir), { force: true })
}
