import { join } from 'node:path'
import { AppError, type DesiredState, desiredStateSchema } from '@ringwall/contracts'
import { type IdentityStore, readJsonFile, verify } from '@ringwall/runtime'
import { z } from 'zod'
import type { KeptFiles } from './kept-files.ts'

const storedSchema = z.object({ payload: z.string(), signature: z.string() })
type Signed = z.infer<typeof storedSchema>

export type DesiredStore = {
  current: () => DesiredState | undefined
  /**
   * Takes a signed state: verified, not older than the one in force, kept on disk.
   * Throws signature_invalid, version_rollback, message_invalid; then the one in force stays.
   */
  accept: (signed: Signed) => DesiredState
}

/** The last good desired state, kept over restarts and while the center is away. */
export function openDesiredStore(dir: string, identity: IdentityStore, files: KeptFiles): DesiredStore {
  const path = join(dir, 'desired.json')

  function read({ payload, signature }: Signed): DesiredState {
    if (!verify(identity.current().policyKeyPem, Buffer.from(payload), signature))
      throw new AppError('signature_invalid', { what: 'desired state' })
    const parsed = desiredStateSchema.safeParse(JSON.parse(payload))
    if (!parsed.success)
      throw new AppError('message_invalid', {
        type: 'desired',
        problems: z.prettifyError(parsed.error).slice(0, 300),
      })
    return parsed.data
  }

  const stored = readJsonFile(path, storedSchema)
  // What was kept is checked again: the file may have been written by somebody else.
  let current = stored === undefined ? undefined : read(stored)
  return {
    current: () => current,
    accept: (signed) => {
      const next = read(signed)
      if (next.machineId !== identity.current().id)
        throw new AppError('message_invalid', { type: 'desired', problems: 'it is for another machine' })
      // After a split the versions of the new identity begin anew.
      if (current?.machineId === next.machineId && next.version < current.version)
        throw new AppError('version_rollback', {
          what: 'desired state',
          version: next.version,
          current: current.version,
        })
      files.write(path, { payload: signed.payload, signature: signed.signature })
      current = next
      return next
    },
  }
}
