import { describe, expect, it } from 'vitest'
import { findPostgresBinaries, parsePostgresVersion } from './binaries.ts'

describe('parsePostgresVersion', () => {
  it('reads releases, vendor builds and betas', () => {
    expect(parsePostgresVersion('postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)\n')).toEqual({
      major: 15,
      version: '15.19 (Debian 15.19-0+deb12u1)',
    })
    expect(parsePostgresVersion('postgres (PostgreSQL) 19beta1')?.major).toBe(19)
    expect(parsePostgresVersion('something else')).toBeUndefined()
  })
})

describe('findPostgresBinaries', () => {
  it('finds the installed server', async () => {
    const found = await findPostgresBinaries({})
    expect(found.major).toBeGreaterThanOrEqual(15)
    expect(found.isEvaluation).toBe(false)
  })

  it('names the version a data directory needs when it is not installed', async () => {
    await expect(findPostgresBinaries({ major: 99 })).rejects.toMatchObject({ code: 'database_unavailable' })
  })
})
