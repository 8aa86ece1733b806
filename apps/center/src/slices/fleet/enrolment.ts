import { AppError, type EnrolRequest, type EnrolResponse } from '@ringwall/contracts'
import { hashToken, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { Core, Tx } from '../../core/core.ts'
import { stateOf, type TokenRow } from './enrol-tokens.ts'
import { insertPeer } from './peer-store.ts'

/** Takes one use of a token, exactly, however many machines come at once. */
async function useToken(tx: Tx, token: string, role: EnrolRequest['role'], nowMs: number): Promise<void> {
  const { rows } =
    await sql<TokenRow>`select * from enrol_token where token_hash = ${hashToken(token)} for update`.execute(
      tx,
    )
  const row = rows[0]
  if (row === undefined) throw new AppError('token_invalid')
  const state = stateOf(row, nowMs)
  if (state === 'revoked') throw new AppError('token_revoked')
  if (state === 'expired') throw new AppError('token_expired', { expiredAt: row.expires_at.toISOString() })
  if (state === 'exhausted') throw new AppError('token_exhausted', { maxUses: row.max_uses })
  if (row.role !== role) throw new AppError('token_role_mismatch', { tokenRole: row.role, role })
  await sql`update enrol_token set uses = uses + 1 where id = ${row.id}`.execute(tx)
}

/** Trades a token and a certificate request for an identity; nothing is used up when anything fails. */
export function createEnrolment({
  db,
  pki,
  machines,
  clock,
  live,
}: Pick<Core, 'db' | 'pki' | 'machines' | 'clock' | 'live'>) {
  return async (request: EnrolRequest): Promise<EnrolResponse> => {
    const { role, token, csrPem, facts, softwareVersion, templateId, addresses = [] } = request
    if (role === 'agent' && facts === undefined)
      throw new AppError('invalid_request', { problems: 'facts: needed for an agent' })
    const id = uuidv7()
    const certificate = await db.transaction().execute(async (tx) => {
      await useToken(tx, token, role, clock.nowMs())
      const issued = await pki.issue(csrPem, role, id)
      const name = facts?.hostname ?? addresses[0]?.host ?? role
      await insertPeer(tx, { id, kind: role, name, softwareVersion, addresses, certificate: issued })
      if (facts !== undefined) {
        const [parentId] = templateId === undefined ? [] : await machines.existing(tx, [templateId])
        const lineage = parentId === undefined ? {} : { lineage: { parentId, evidence: 'sealed template' } }
        await machines.create(tx, { id, facts, agentVersion: softwareVersion, ...lineage })
        await machines.note(tx, id, 'machine.enrolled', { softwareVersion })
      }
      return issued
    })
    live.publish({ type: 'changed', object: role === 'agent' ? 'machine' : 'scanner', id })
    live.publish({ type: 'changed', object: 'enrolToken', id: null })
    return {
      id,
      certificatePem: certificate.certificatePem,
      caPem: pki.caPem,
      policyKeyPem: pki.policyKey.publicPem,
      contentKeyPem: pki.contentKey.publicPem,
      serverTime: new Date(clock.nowMs()).toISOString(),
    }
  }
}
