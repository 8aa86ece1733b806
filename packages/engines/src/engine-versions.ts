/**
 * Versions of the engines' code, a part of every content version: raise one when its engine would judge the same
 * content differently, and what it judged before becomes stale. The signature engine is as old as its library.
 */
export const engineVersions = { hash: '1', signature: 'yara-x-0.3.0' } as const
