import type { EnrolToken } from '@ringwall/contracts'
import { hashToken, randomToken, uuidv7 } from '@ringwall/runtime'
import { sql } from 'kysely'
import type { CenterConfig } from '../../config.ts'
import type { Core, EnrolTokens } from '../../core/core.ts'

const hourMs = 3_600_000

export type TokenRow = {
  id: string
  name: string
  role: 'agent' | 'scanner'
  max_uses: number
  uses: number
  created_at: Date
  created_by: string
  expires_at: Date
  revoked_at: Date | null
}

export function stateOf(row: TokenRow, nowMs: number): EnrolToken['state'] {
  if (row.revoked_at !== null) return 'revoked'
  if (row.expires_at.getTime() <= nowMs) return 'expired'
  return row.uses >= row.max_uses ? 'exhausted' : 'valid'
}

export function toEnrolToken(row: TokenRow, nowMs: number): EnrolToken {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    maxUses: row.max_uses,
    uses: row.uses,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    expiresAt: row.expires_at.toISOString(),
    state: stateOf(row, nowMs),
  }
}

/** Where agents reach this center. */
export function gatewayAddressOf(config: CenterConfig): string {
  return `${config.hostNames[0] ?? 'localhost'}:${config.gatewayPort}`
}

export function createEnrolTokens({
  config,
  pki,
  clock,
}: Pick<Core, 'config' | 'pki' | 'clock'>): EnrolTokens {
  return {
    create: async (db, { name, role, maxUses, expiresInHours, createdBy }) => {
      const token = `rwe_${randomToken(24)}`
      const expiresAt = new Date(clock.nowMs() + expiresInHours * hourMs)
      const { rows } =
        await sql<TokenRow>`insert into enrol_token (id, name, role, token_hash, max_uses, created_by, expires_at)
        values (${uuidv7()}, ${name}, ${role}, ${hashToken(token)}, ${maxUses}, ${createdBy}, ${expiresAt}) returning *`.execute(
          db,
        )
      return {
        enrolToken: toEnrolToken(rows[0] as TokenRow, clock.nowMs()),
        token,
        arguments: `--center ${gatewayAddressOf(config)} --token ${token} --ca-hash ${pki.caHash}`,
      }
    },
  }
}
