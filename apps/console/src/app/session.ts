import { type Permission, type Session, sessionSchema } from '@ringwall/contracts'
import { queryClient, setCsrfToken, useApi } from './api.ts'

const sessionKey = ['getSession', {}]

/** Who is signed in; an `unauthenticated` error means nobody. */
export function useSession() {
  const query = useApi('getSession', {})
  if (query.data !== undefined) setCsrfToken(query.data.csrfToken)
  return query
}

/** Takes over a session that a sign-in or a password change answered with. */
export function acceptSession(session: Session): void {
  setCsrfToken(session.csrfToken)
  queryClient.setQueryData(sessionKey, sessionSchema.parse(session))
}

/** Forgets everything that was read in this session. */
export function dropSession(): void {
  setCsrfToken(null)
  queryClient.clear()
}

/** Whether the signed-in user may; pages leave out what they may not. */
export function useMay(): (permission: Permission) => boolean {
  const permissions = useSession().data?.permissions ?? []
  return (permission) => permissions.includes(permission)
}
