import { type RawBuilder, sql } from 'kysely'

/** Column name to PostgreSQL element type, e.g. `{ sha256: 'bytea', seen_at: 'timestamptz' }`. */
export type UnnestTypes<Row> = { [K in keyof Row & string]: string }

export interface UnnestInsert<Row> {
  /** For `.columns(...)`: the columns in the order of `expression`. */
  columns: (keyof Row & string)[]
  /** For `.expression(...)`: `select * from unnest($1::text[], ...)`. */
  expression: RawBuilder<Row>
}

/**
 * Bulk rows as one array parameter per column, so that the statement text, and with it the plan, is the same for
 * any number of rows and the limit of 65 535 parameters is out of reach. Element types must be scalar (unnest
 * flattens arrays of arrays); pass json values as text.
 *
 * `db.insertInto('event').columns(rows.columns).expression(rows.expression)`
 */
export function unnest<Row extends object>(rows: readonly Row[], types: UnnestTypes<Row>): UnnestInsert<Row> {
  const entries = Object.entries(types) as [keyof Row & string, string][]
  for (const [name, type] of entries) {
    if (!/^[a-z][a-z0-9_ ]*$/.test(type))
      throw new TypeError(`column ${name} has no scalar type name: ${type}`)
  }
  const arrays = entries.map(([name, type]) => sql`${rows.map((row) => row[name])}::${sql.raw(type)}[]`)
  return {
    columns: entries.map(([name]) => name),
    expression: sql<Row>`select * from unnest(${sql.join(arrays)})`,
  }
}
