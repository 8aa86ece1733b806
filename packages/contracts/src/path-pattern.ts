/**
 * Whether an encoded path fits a pattern: `*` stands for anything within a name, `?` for one character of it, `**`
 * for anything at all. Time grows with the product of both lengths and no faster, whatever the pattern.
 */
export function matchesPathPattern(pattern: string, path: string): boolean {
  // reached[i]: the pattern so far fits the first i characters of the path.
  let reached = new Uint8Array(path.length + 1)
  reached[0] = 1
  for (let index = 0; index < pattern.length; index += 1) {
    const token = pattern[index]
    const next = new Uint8Array(path.length + 1)
    if (token === '*') {
      const isDeep = pattern[index + 1] === '*'
      if (isDeep) index += 1
      next[0] = reached[0] ?? 0
      for (let at = 1; at <= path.length; at += 1)
        next[at] = reached[at] || (next[at - 1] && (isDeep || path[at - 1] !== '/')) ? 1 : 0
    } else
      for (let at = 1; at <= path.length; at += 1)
        next[at] = reached[at - 1] && (token === '?' ? path[at - 1] !== '/' : path[at - 1] === token) ? 1 : 0
    reached = next
  }
  return reached[path.length] === 1
}
