/** What benchmarks say while they run, and how their figures are written. */

/** A line of progress. */
export const say = (text: string): void => {
  process.stderr.write(`bench: ${text}\n`)
}

/** The middle one of some values, the larger of two; 0 when there are none. */
export const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

export const seconds = (ms: number, digits = 2): string => (ms / 1000).toFixed(digits)
export const mib = (bytes: number, digits = 1): string => (bytes / 1024 ** 2).toFixed(digits)
