/** Runs one piece of work after the other; what one throws does not hold up the next. */
export function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
}

/** Group commit: whatever gathered while the disk was busy goes in one write and one sync. */
export function createGroupCommit<T>(commit: (batch: T[]) => Promise<void>): (item: T) => Promise<void> {
  type Waiting = { item: T; resolve: () => void; reject: (error: unknown) => void }
  let queue: Waiting[] = []
  let isBusy = false

  async function flush(): Promise<void> {
    isBusy = true
    await Promise.resolve()
    while (queue.length > 0) {
      const batch = queue
      queue = []
      try {
        await commit(batch.map(({ item }) => item))
        for (const { resolve } of batch) resolve()
      } catch (cause) {
        for (const { reject } of batch) reject(cause)
      }
    }
    isBusy = false
  }

  return (item) =>
    new Promise((resolve, reject) => {
      queue.push({ item, resolve, reject })
      if (!isBusy) void flush()
    })
}
