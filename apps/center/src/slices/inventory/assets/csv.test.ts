import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatCsv, parseCsv } from './csv.ts'

it('reads what it wrote, whatever the cells hold', () => {
  const cell = fc.oneof(
    fc.string(),
    fc.constantFrom('=1+1', "'=1", '"', 'a,b', 'two\r\nlines', '-', '@x', '\t', "''=", '机器'),
  )
  const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 5 }), { maxLength: 8 })
  fc.assert(
    fc.property(table, (rows) => {
      // A text that is only a byte order mark is a mark, not a cell.
      fc.pre(!rows[0]?.[0]?.startsWith('\ufeff'))
      const parsed = parseCsv(formatCsv(rows))
      expect('rows' in parsed && parsed.rows.map(({ cells }) => cells)).toEqual(rows)
    }),
  )
})

it('never writes a cell that a spreadsheet takes for a formula', () => {
  expect(formatCsv([['=cmd|x', '+1', '-1', '@a', 'ok']])).toBe("'=cmd|x,'+1,'-1,'@a,ok\r\n")
})

it('counts lines as an editor does, and names what is not CSV', () => {
  expect(parseCsv('\ufeffa,b\n"x\ny",2\r\n\n3,4')).toEqual({
    rows: [
      { line: 1, cells: ['a', 'b'] },
      { line: 2, cells: ['x\ny', '2'] },
      { line: 5, cells: ['3', '4'] },
    ],
  })
  expect(parseCsv('a\n"b\nc')).toEqual({ error: { line: 2, reason: 'quote_open' } })
  expect(parseCsv('a\nb"c')).toEqual({ error: { line: 2, reason: 'quote_inside' } })
  expect(parseCsv('a\n"b"c')).toEqual({ error: { line: 2, reason: 'quote_inside' } })
})

it('ends on any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', "'", '=') }), (text) => {
      const parsed = parseCsv(text)
      if ('rows' in parsed)
        for (const { cells, line } of parsed.rows) {
          expect(cells.length).toBeGreaterThan(0)
          expect(line).toBeLessThanOrEqual(text.split('\n').length)
        }
    }),
  )
})
