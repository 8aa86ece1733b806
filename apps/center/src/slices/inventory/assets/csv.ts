/** CSV as RFC 4180 has it: cells in quotes may hold commas, line ends and doubled quotes. */

/** A cell that begins like this is a formula to spreadsheet programs (OWASP, "CSV Injection"). */
const formulaStart = /^'*[=+\-@\t\r]/
const guardedFormula = /^'(?='*[=+\-@\t\r])/

function formatCell(text: string): string {
  const safe = formulaStart.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Rows as CSV with CRLF; cells that would be formulas get an apostrophe before them, also where they have some. */
export function formatCsv(rows: string[][]): string {
  return rows.map((row) => `${row.map(formatCell).join(',')}\r\n`).join('')
}

export type CsvRow = { line: number; cells: string[] }
export type CsvError = { line: number; reason: 'quote_open' | 'quote_inside' }

/** Takes the apostrophe of `formatCsv` away again. */
function unguard(cell: string): string {
  return cell.replace(guardedFormula, '')
}

/**
 * Reads CSV: a mark at the beginning, LF and CRLF are understood; empty lines are left out. `line` is where a row begins, as an editor counts.
 * Answers the first thing that is not CSV instead of guessing what was meant.
 */
export function parseCsv(text: string): { rows: CsvRow[] } | { error: CsvError } {
  const rows: CsvRow[] = []
  let line = 1
  let at = text.startsWith('\ufeff') ? 1 : 0
  while (at < text.length) {
    const row: CsvRow = { line, cells: [] }
    for (;;) {
      let cell: string
      if (text[at] === '"') {
        const startLine = line
        cell = ''
        at += 1
        for (;;) {
          const end = text.indexOf('"', at)
          if (end < 0) return { error: { line: startLine, reason: 'quote_open' } }
          cell += text.slice(at, end)
          at = end + 1
          if (text[at] !== '"') break
          cell += '"'
          at += 1
        }
        line += cell.split('\n').length - 1
        if (at < text.length && text[at] !== ',' && text[at] !== '\n' && !text.startsWith('\r\n', at))
          return { error: { line, reason: 'quote_inside' } }
      } else {
        const start = at
        while (at < text.length && text[at] !== ',' && text[at] !== '\n' && !text.startsWith('\r\n', at))
          at += 1
        cell = text.slice(start, at)
        if (cell.includes('"')) return { error: { line, reason: 'quote_inside' } }
      }
      row.cells.push(unguard(cell))
      if (text[at] !== ',') break
      at += 1
    }
    at += text.startsWith('\r\n', at) ? 2 : 1
    line += 1
    if (row.cells.length > 1 || row.cells[0] !== '') rows.push(row)
  }
  return { rows }
}
