import { lookupCodes, type VerdictClass } from '@ringwall/contracts'
import { hashWords, wordsOf } from './hash-words.ts'
import { forgottenCode, recordBytes, visitLogRecords } from './log-record.ts'
import { type LogMark, readSnapshot, removeSnapshot } from './table-snapshot.ts'
import type { VerdictLog } from './verdict-log.ts'
import { touchedAtOnce, VerdictTable } from './verdict-table.ts'

const recordWords = recordBytes / Int32Array.BYTES_PER_ELEMENT

export const classOf: Record<number, VerdictClass> = {
  [lookupCodes.clean]: 'clean',
  [lookupCodes.suspicious]: 'suspicious',
  [lookupCodes.malicious]: 'malicious',
  [lookupCodes.partial]: 'partial',
}

/** Does to the table what a record of the log says. The hash stands at the word `at` of `source`. */
export function applyRecord(
  table: VerdictTable,
  source: Int32Array,
  at: number,
  code: number,
  version: number,
  sizeBytes: number,
  judgedAtMs: number,
): void {
  if (code === forgottenCode) table.delete(source, at)
  else if (classOf[code] !== undefined)
    table.set(source, at, code, version, sizeBytes, Math.floor(judgedAtMs / 1000))
}

function replayChunk(table: VerdictTable, chunk: Buffer): void {
  const words = wordsOf(chunk, 0, Math.floor(chunk.length / recordBytes) * (recordWords / hashWords))
  const blockBytes = touchedAtOnce * recordBytes
  for (let start = 0; start < chunk.length; start += blockBytes) {
    const end = Math.min(chunk.length, start + blockBytes)
    table.touch(words, start / 4, end / 4, recordWords)
    visitLogRecords(chunk, start, end, (at, code, version, sizeBytes, judgedAtMs) =>
      applyRecord(table, words, at / 4, code, version, sizeBytes, judgedAtMs),
    )
  }
}

/** Where the log is now. */
export function markOf(log: VerdictLog): LogMark {
  return { records: log.records, lastRecord: log.read(log.records - 1, 1) }
}

function isMarkOf(log: VerdictLog, { records, lastRecord }: LogMark): boolean {
  return records > 0 && records <= log.records && log.read(records - 1, 1).equals(lastRecord)
}

/**
 * The table of a log: from its snapshot and what came after, or from the whole log. Answers how many records came from
 * the snapshot.
 */
export function loadTable(
  log: VerdictLog,
  snapshotPath: string,
): { table: VerdictTable; snapshotRecords: number } {
  const snapshot = readSnapshot(snapshotPath, (mark) => isMarkOf(log, mark))
  // Of another log, or damaged: it must not come back when this log is longer.
  if (snapshot === undefined) removeSnapshot(snapshotPath)
  const table = snapshot?.table ?? new VerdictTable(log.records)
  const snapshotRecords = snapshot?.mark.records ?? 0
  log.replay(snapshotRecords, (chunk) => replayChunk(table, chunk))
  return { table, snapshotRecords }
}
