import { describe, expect, it } from 'vitest'
import { judgePostmaster, parsePostmasterFile } from './postmaster-file.ts'

const TEXT = '4711\n/srv/db\n1790000000\n5432\n/run/rw\n\n  123456   98765\nready   \n'

describe('parsePostmasterFile', () => {
  it('reads a complete file and one just begun', () => {
    expect(parsePostmasterFile(TEXT)).toEqual({
      pid: 4711,
      port: 5432,
      socketDir: '/run/rw',
      status: 'ready',
    })
    expect(parsePostmasterFile('4711\n')).toEqual({
      pid: 4711,
      port: undefined,
      socketDir: undefined,
      status: undefined,
    })
    expect(parsePostmasterFile('')).toBeUndefined()
  })
})

describe('judgePostmaster', () => {
  const file = parsePostmasterFile(TEXT)
  const server = { pid: 4711, name: 'postgres', state: 'S', startTicks: 5 }

  it('knows the living, the dead, the zombie and the reused pid apart', () => {
    expect(judgePostmaster('/srv/db', undefined, undefined, undefined).kind).toBe('none')
    expect(judgePostmaster('/srv/db', file, server, '/srv/db').kind).toBe('running')
    expect(judgePostmaster('/srv/db', file, undefined, undefined).kind).toBe('dead')
    expect(judgePostmaster('/srv/db', file, { ...server, state: 'Z' }, undefined)).toMatchObject({
      reason: 'zombie',
    })
    expect(judgePostmaster('/srv/db', file, { ...server, name: 'node' }, '/srv/db')).toMatchObject({
      reason: 'reused',
    })
    expect(judgePostmaster('/srv/db', file, server, '/srv/other')).toMatchObject({ reason: 'reused' })
  })
})
