import { join } from 'node:path'
import { type EventClass, eventClasses } from '@ringwall/contracts'
import { readJsonFile, writeJsonFile } from '../atomic-file.ts'

/** At least `count` records of a class with numbers in `fromSeq`..`toSeq` are lost. */
export type SpoolGap = { fromSeq: number; toSeq: number; count: number; class: EventClass }

/** What a spool remembers besides its records. Numbers from `reservedSeq` on were never used. */
export type Mark = { epoch: string; ackedSeq: number; reservedSeq: number; gaps: SpoolGap[] }

/** More gaps than this are joined, so that the mark stays small. */
const maxGaps = 100

const isGap = (gap: Partial<SpoolGap> | null): boolean =>
  Number.isSafeInteger(gap?.fromSeq) &&
  Number.isSafeInteger(gap?.toSeq) &&
  Number.isSafeInteger(gap?.count) &&
  eventClasses.some((name) => name === gap?.class)

const markSchema = {
  safeParse(value: unknown): { success: true; data: Mark } | { success: false } {
    const mark = value as Partial<Mark> | null
    const isMark =
      /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(mark?.epoch ?? '') &&
      Number.isSafeInteger(mark?.ackedSeq) &&
      Number.isSafeInteger(mark?.reservedSeq) &&
      Array.isArray(mark?.gaps) &&
      mark.gaps.every(isGap)
    return isMark ? { success: true, data: mark as Mark } : { success: false }
  },
}

const markPath = (dir: string): string => join(dir, 'mark.json')

/** The mark in `dir`; undefined when there is none that can be read. */
export function readMark(dir: string): Mark | undefined {
  try {
    return readJsonFile(markPath(dir), markSchema)
  } catch {
    // The segments tell enough to go on without it.
    return undefined
  }
}

/** Replaces the mark, durably. Throws disk_full with the old one in place. */
export function writeMark(dir: string, mark: Mark): void {
  writeJsonFile(markPath(dir), mark)
}

/** `gaps` with one more, joined with one of its class when there are too many. */
export function withGap(gaps: SpoolGap[], gap: SpoolGap): SpoolGap[] {
  const at = gaps.length < maxGaps ? -1 : gaps.findLastIndex((other) => other.class === gap.class)
  const other = gaps[at]
  if (other === undefined) return [...gaps, gap]
  const joined = {
    fromSeq: Math.min(other.fromSeq, gap.fromSeq),
    toSeq: Math.max(other.toSeq, gap.toSeq),
    count: other.count + gap.count,
    class: gap.class,
  }
  return gaps.with(at, joined)
}
