import { apiRoutes } from '@ringwall/contracts'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addAgent, eventually, startTestCenter, type TestCenter } from '../testing/test-center.ts'
import { parseCsv } from './csv.ts'

let center: TestCenter
beforeEach(async () => {
  center = await startTestCenter({})
})
afterEach(async () => await center.close())

const importCsv = (csv: string, isDryRun = false) =>
  center.as.operator(apiRoutes.importAssets, { body: { csv, isDryRun } })
const assets = async (query: Record<string, string> = {}) =>
  (await center.as.viewer(apiRoutes.listAssets, { query })).items

const list = [
  'hostname,kind,os,addresses,macs,uuid,labels',
  'db-1,physical,Debian 12,10.0.0.5;10.0.0.6,52-54-00-00-00-01,564d8c1a2b3c4d5e8f90a1b2c3d4e5f6,core;db',
  'desk-1,physical,Windows 11,,,,',
  '"cloud, one",cloud,Ubuntu,,,,',
].join('\r\n')

describe('an import', () => {
  it('creates and updates machines in one list, and says what a dry run would do', async () => {
    expect(await importCsv(list, true)).toMatchObject({
      lines: 3,
      created: 3,
      isApplied: false,
      platformId: null,
    })
    expect(await assets()).toEqual([])
    expect(await importCsv(list)).toMatchObject({
      lines: 3,
      created: 3,
      updated: 0,
      isApplied: true,
      problems: [],
    })
    expect(await assets()).toMatchObject([
      { name: 'cloud, one', pool: 'cloud', osFamily: 'linux', platform: { kind: 'import' } },
      {
        name: 'db-1',
        pool: 'physical',
        addresses: ['10.0.0.5', '10.0.0.6'],
        macs: ['52:54:00:00:00:01'],
        uuid: '564d8c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6',
        labels: ['core', 'db'],
      },
      { name: 'desk-1', osFamily: 'windows' },
    ])
    const again = await importCsv(list.replace('Windows 11', 'Windows 10'))
    expect(again).toMatchObject({ created: 0, updated: 1, unchanged: 2 })
    expect((await center.as.viewer(apiRoutes.listPlatforms, {})).items).toMatchObject([
      { kind: 'import', state: 'manual', counts: { total: 3, unprotected: 3 } },
    ])
  })

  it('writes nothing when a line is bad, and names every bad line', async () => {
    const bad = [
      'hostname,kind,addresses,macs,uuid',
      'good,physical,,,',
      ',toaster,10.0.0.999,xx,yy',
      'GOOD,,,,',
      'a,b,c,d,e,f',
    ].join('\n')
    const answer = await importCsv(bad)
    expect(answer).toMatchObject({ isApplied: false, created: 0 })
    expect(answer.problems.map(({ line, column, code }) => `${line} ${column} ${code}`)).toEqual([
      '3 hostname value_missing',
      '3 kind value_invalid',
      '3 addresses value_invalid',
      '3 macs value_invalid',
      '3 uuid value_invalid',
      '4 hostname line_twice',
      '5 null too_many_cells',
      '5 kind value_invalid',
      '5 addresses value_invalid',
      '5 macs value_invalid',
      '5 uuid value_invalid',
    ])
    expect(await assets()).toEqual([])
    expect((await importCsv('name,colour\nx,red')).problems.map(({ code }) => code)).toEqual([
      'column_unknown',
      'column_unknown',
      'column_missing',
    ])
    expect((await importCsv('hostname\n"open')).problems).toMatchObject([{ line: 2, code: 'csv_not_valid' }])
  })

  it('takes an export back without a change, formulas and all', async () => {
    await importCsv(`${list}\r\n"'=1+1",guest,@os,,,,-x`)
    const exported = await center.as.viewer(apiRoutes.exportAssets, {})
    expect(exported.fileName).toMatch(/^ringwall-assets-\d{4}-\d\d-\d\d\.csv$/)
    expect(exported.csv).toContain("'=1+1")
    expect(exported.csv).not.toMatch(/(^|,)[=@+-]/m)
    expect(await importCsv(exported.csv)).toMatchObject({
      lines: 4,
      created: 0,
      updated: 0,
      unchanged: 4,
      isApplied: true,
    })
  })

  it('and an export hold more than a page', async () => {
    const lines = Array.from({ length: 1203 }, (_, index) => `m${index}`)
    await importCsv(`hostname\n${lines.join('\n')}`)
    const parsed = parseCsv((await center.as.viewer(apiRoutes.exportAssets, {})).csv)
    expect('rows' in parsed && new Set(parsed.rows.slice(1).map(({ cells }) => cells[0])).size).toBe(1203)
    const first = await center.as.viewer(apiRoutes.listAssets, { query: { limit: 500, sort: '-lastSeenAt' } })
    const second = await center.as.viewer(apiRoutes.listAssets, {
      query: { limit: 500, sort: '-lastSeenAt', cursor: first.nextCursor ?? '' },
    })
    expect(first.total).toBe(1203)
    expect(new Set([...first.items, ...second.items].map(({ id }) => id)).size).toBe(1000)
  })

  it('is joined to an agent like what a platform tells', async () => {
    const machineId = await addAgent(center, 'db-1', { macs: ['52:54:00:00:00:01'] })
    await importCsv(list.replace(',564d8c1a2b3c4d5e8f90a1b2c3d4e5f6,', ',,'))
    await eventually('the join', async () => (await assets({ isProtected: 'true' })).length === 1)
    expect((await assets({ isProtected: 'true' }))[0]?.machine).toMatchObject({
      id: machineId,
      evidence: 'mac 52:54:00:00:00:01',
    })
    const pools = (await center.as.viewer(apiRoutes.listPools, {})).pools
    expect(pools.find(({ pool }) => pool === 'physical')?.counts).toMatchObject({
      total: 2,
      protected: 1,
      unprotected: 1,
    })
  })
})

describe('a list of assets', () => {
  it('is filtered by what one looks for', async () => {
    await importCsv(list)
    const names = async (query: Record<string, string>) => (await assets(query)).map(({ name }) => name)
    expect(await names({ search: '10.0.0.6' })).toEqual(['db-1'])
    expect(await names({ search: '%' })).toEqual([])
    expect(await names({ pool: 'cloud' })).toEqual(['cloud, one'])
    expect(await names({ osFamily: 'windows' })).toEqual(['desk-1'])
    expect(
      await names({
        label: 'db',
        isPlaced: 'false',
        power: 'unknown',
        isProtected: 'false',
        hasIssue: 'false',
      }),
    ).toEqual(['db-1'])
    expect(await names({ sort: '-name' })).toEqual(['desk-1', 'db-1', 'cloud, one'])
    expect((await center.as.viewer(apiRoutes.listAssetLabels, {})).labels).toEqual([
      { label: 'core', count: 1 },
      { label: 'db', count: 1 },
    ])
  })
})

describe('saved filters', () => {
  it('are one’s own, or shared by who may', async () => {
    const create = (role: 'viewer' | 'operator', name: string, isShared: boolean) =>
      center.as[role](apiRoutes.createSavedFilter, {
        body: { list: 'assets', name, query: { pool: 'cloud' }, isShared },
      })
    const own = (await create('viewer', 'mine', false)).filter
    expect(own).toMatchObject({ isOwn: true, ownerName: 'viewer (test)', query: { pool: 'cloud' } })
    await expect(create('viewer', 'Mine', false)).rejects.toMatchObject({ code: 'conflict' })
    await expect(create('viewer', 'ours', true)).rejects.toMatchObject({ code: 'forbidden' })
    const shared = (await create('operator', 'ours', true)).filter
    const seen = async (role: 'viewer' | 'operator') =>
      (await center.as[role](apiRoutes.listSavedFilters, { query: { list: 'assets' } })).filters.map(
        ({ name, isOwn }) => `${name} ${isOwn}`,
      )
    expect(await seen('viewer')).toEqual(['mine true', 'ours false'])
    expect(await seen('operator')).toEqual(['ours true'])
    await expect(
      center.as.operator(apiRoutes.removeSavedFilter, { params: { id: own.id } }),
    ).rejects.toMatchObject({ code: 'not_found' })
    await expect(
      center.as.viewer(apiRoutes.updateSavedFilter, { params: { id: shared.id }, body: { name: 'x' } }),
    ).rejects.toMatchObject({ code: 'not_found' })
    await center.as.administrator(apiRoutes.updateSavedFilter, {
      params: { id: shared.id },
      body: { name: 'all of ours' },
    })
    await center.as.viewer(apiRoutes.removeSavedFilter, { params: { id: own.id } })
    expect(await seen('viewer')).toEqual(['all of ours false'])
    const { rows } = await sql<{
      action: string
    }>`select action from audit_entry where action like 'saved_filter.%' and outcome = 'ok' order by seq`.execute(
      center.db,
    )
    expect(rows.map(({ action }) => action)).toEqual([
      'saved_filter.created',
      'saved_filter.created',
      'saved_filter.updated',
      'saved_filter.removed',
    ])
  })
})
