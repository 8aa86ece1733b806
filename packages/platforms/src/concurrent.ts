import { AppError } from '@ringwall/contracts'

/**
 * `work` for every item, at most `max` at a time; results in the order of the items. The first failure ends the whole: nothing further is
 * begun and it is thrown.
 */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  max: number,
  signal: AbortSignal,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  let next = 0
  let hasFailed = false
  async function worker(): Promise<void> {
    while (next < items.length && !hasFailed) {
      if (signal.aborted) throw new AppError('aborted')
      const index = next
      next += 1
      results[index] = await work(items[index] as T)
    }
  }
  const workers = Array.from({ length: Math.min(max, items.length) }, () =>
    worker().catch((error) => {
      hasFailed = true
      throw error
    }),
  )
  await Promise.all(workers)
  return results
}
