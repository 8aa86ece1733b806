export type Session<T> = {
  /** The session in use, or a new one; callers at the same time share one sign-in. */
  current: (signal: AbortSignal) => Promise<T>
  /** Says that the platform refused this session; `current` signs in again unless somebody else has. */
  expired: (session: T) => void
  /** The session in use without signing in, for signing out. */
  peek: () => T | undefined
}

/** One session with a platform, shared by requests that run side by side. */
export function createSession<T>(signIn: (signal: AbortSignal) => Promise<T>): Session<T> {
  let session: T | undefined
  let pending: Promise<T> | undefined
  return {
    current: async (signal) => {
      if (session !== undefined) return session
      pending ??= signIn(signal).finally(() => {
        pending = undefined
      })
      session = await pending
      return session
    },
    expired: (old) => {
      if (session === old) session = undefined
    },
    peek: () => session,
  }
}
