import { isIP } from 'node:net'
import type { CsvProblem } from '@ringwall/contracts'
import { normaliseMac, normaliseUuid } from '@ringwall/platforms'
import { type AssetValues, osFamilyOf } from '../platforms/records.ts'
import { type CsvRow, parseCsv } from './csv.ts'

export type ImportLine = { line: number; values: AssetValues; labels: string[] | null }

const maxLines = 10_000
const maxCellLength = 1000
const maxProblems = 200
const kinds = ['physical', 'guest', 'cloud'] as const
const pools = { physical: 'physical', guest: 'virtual', cloud: 'cloud' } as const
/** What an import takes. An export has more columns, which the platforms tell and an import leaves alone. */
export const importColumns = ['hostname', 'kind', 'os', 'addresses', 'macs', 'uuid', 'labels'] as const
export const exportOnlyColumns = [
  'platform',
  'cluster',
  'host',
  'power',
  'datastores',
  'parent',
  'protection',
  'machine_id',
  'asset_id',
  'last_seen',
] as const
type Column = (typeof importColumns)[number]
type Problem = Omit<CsvProblem, 'line'>

/** Several values of one cell are set apart by semicolons or blanks; labels by semicolons only. */
const listOf = (cell: string, separator: RegExp) =>
  [...new Set(cell.split(separator).map((item) => item.trim()))].filter((item) => item !== '')

function readLine(
  cellOf: (column: Column) => string | null,
): { values: AssetValues; labels: string[] | null } | Problem[] {
  const problems: Problem[] = []
  const bad = (column: Column, code: Problem['code'], value: string) => {
    problems.push({ column, code, value: value.slice(0, 100) })
  }
  const hostname = cellOf('hostname') ?? ''
  if (hostname === '') bad('hostname', 'value_missing', '')
  const kind = kinds.find((known) => known === ((cellOf('kind') ?? '') || 'physical').toLowerCase())
  if (kind === undefined) bad('kind', 'value_invalid', cellOf('kind') ?? '')
  const addresses = listOf(cellOf('addresses') ?? '', /[;\s]+/)
  for (const address of addresses) if (isIP(address) === 0) bad('addresses', 'value_invalid', address)
  const macs = listOf(cellOf('macs') ?? '', /[;\s]+/).flatMap((mac) => {
    const normal = normaliseMac(mac)
    if (normal === null) bad('macs', 'value_invalid', mac)
    return normal ?? []
  })
  const uuidCell = cellOf('uuid') ?? ''
  const uuid = normaliseUuid(uuidCell)
  if (uuidCell !== '' && uuid === null) bad('uuid', 'value_invalid', uuidCell)
  const labelCell = cellOf('labels')
  const labels = labelCell === null ? null : listOf(labelCell, /;/)
  for (const label of labels ?? []) if (label.length > 120) bad('labels', 'value_too_long', label)
  for (const column of importColumns) {
    const cell = cellOf(column) ?? ''
    if (cell.length > (column === 'hostname' ? 253 : maxCellLength)) bad(column, 'value_too_long', cell)
  }
  if (problems.length > 0 || kind === undefined) return problems
  const os = cellOf('os') || null
  return {
    labels: labels === null ? null : labels.sort(),
    values: {
      ref: hostname.toLowerCase(),
      kind,
      pool: pools[kind],
      name: hostname,
      host_id: null,
      migrating_to_id: null,
      cluster_id: null,
      power: 'unknown',
      uuid,
      macs: macs.sort(),
      addresses: addresses.sort(),
      guest_os: os,
      os_family: osFamilyOf(os),
      datastores: [],
      parent_ref: null,
      parent_name: null,
      parent_kind: null,
      parent_evidence: null,
    },
  }
}

function readHeader(header: CsvRow): { places: Map<string, number>; problems: CsvProblem[] } {
  const problems: CsvProblem[] = []
  const known: readonly string[] = [...importColumns, ...exportOnlyColumns]
  const places = new Map<string, number>()
  for (const [place, cell] of header.cells.entries()) {
    const name = cell.trim().toLowerCase()
    const problem = { line: header.line, column: name.slice(0, 100), value: cell.slice(0, 100) }
    if (!known.includes(name)) problems.push({ ...problem, code: 'column_unknown' })
    else if (places.has(name)) problems.push({ ...problem, code: 'column_twice' })
    places.set(name, place)
  }
  if (!places.has('hostname'))
    problems.push({ line: header.line, column: 'hostname', code: 'column_missing', value: '' })
  return { places, problems }
}

/**
 * The lines of an import, or everything that is wrong with them, each with its line. A machine is known by its host name; a line with one
 * that was there before is a problem, not an update.
 */
export function readImport(csv: string): {
  lines: ImportLine[]
  problems: CsvProblem[]
  problemCount: number
} {
  const nothing = (problem: CsvProblem) => ({ lines: [], problems: [problem], problemCount: 1 })
  const parsed = parseCsv(csv)
  if ('error' in parsed)
    return nothing({
      line: parsed.error.line,
      column: null,
      code: 'csv_not_valid',
      value: parsed.error.reason,
    })
  const [header, ...rows] = parsed.rows
  if (header === undefined) return nothing({ line: 1, column: 'hostname', code: 'column_missing', value: '' })
  if (rows.length > maxLines)
    return nothing({
      line: rows[maxLines]?.line ?? 0,
      column: null,
      code: 'too_many_lines',
      value: String(maxLines),
    })
  const { places, problems } = readHeader(header)
  if (problems.length > 0) return { lines: [], problems, problemCount: problems.length }
  const lines: ImportLine[] = []
  const seen = new Set<string>()
  for (const { line, cells } of rows) {
    if (cells.length > header.cells.length)
      problems.push({ line, column: null, code: 'too_many_cells', value: String(cells.length) })
    const read = readLine((column) => {
      const place = places.get(column)
      return place === undefined ? null : (cells[place] ?? '').trim()
    })
    if (Array.isArray(read)) {
      problems.push(...read.map((problem) => ({ line, ...problem })))
      continue
    }
    if (seen.has(read.values.ref))
      problems.push({ line, column: 'hostname', code: 'line_twice', value: read.values.name })
    seen.add(read.values.ref)
    lines.push({ line, ...read })
  }
  return { lines, problems: problems.slice(0, maxProblems), problemCount: problems.length }
}
