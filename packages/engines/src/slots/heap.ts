export type Heap<T> = {
  size: () => number
  peek: () => T | undefined
  push: (item: T) => void
  pop: () => T | undefined
}

/** A binary heap: the least item by `order` first. */
export function createHeap<T>(order: (a: T, b: T) => number): Heap<T> {
  const items: T[] = []
  const isLess = (a: number, b: number) => order(items[a] as T, items[b] as T) < 0
  const swap = (a: number, b: number) => {
    const kept = items[a] as T
    items[a] = items[b] as T
    items[b] = kept
  }
  return {
    size: () => items.length,
    peek: () => items[0],
    push: (item) => {
      let at = items.push(item) - 1
      for (let up = (at - 1) >> 1; at > 0 && isLess(at, up); up = (at - 1) >> 1) {
        swap(at, up)
        at = up
      }
    },
    pop: () => {
      const least = items[0]
      const last = items.pop()
      if (items.length === 0 || last === undefined) return least
      items[0] = last
      for (let at = 0; ; ) {
        const left = 2 * at + 1
        let next = at
        if (left < items.length && isLess(left, next)) next = left
        if (left + 1 < items.length && isLess(left + 1, next)) next = left + 1
        if (next === at) return least
        swap(at, next)
        at = next
      }
    },
  }
}
