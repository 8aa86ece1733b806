import {
  type ApiRoutes,
  apiRoutes,
  createApiClient,
  isAppError,
  type OperationId,
  type RouteRequest,
  type RouteResponse,
} from '@ringwall/contracts'
import {
  QueryClient,
  type UseQueryOptions,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query'
import { App } from 'antd'
import { errorToText } from '../ui/error-text.ts'

let csrfToken = ''

/** Remembers the token that every write of this session carries. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token ?? ''
}

/** The typed client of the center that served this page. */
export const api = createApiClient(
  async ({ method, url, headers, body, signal }) => {
    const response = await fetch(url, {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body }),
      ...(signal ? { signal } : {}),
    })
    return { status: response.status, text: await response.text() }
  },
  () => (csrfToken === '' ? ({} as Record<string, string>) : { 'ringwall-csrf': csrfToken }),
)

/** Errors that a second try may mend; anything else is shown at once. */
function isWorthRetrying(failures: number, error: Error): boolean {
  return failures < 2 && isAppError(error) && error.status >= 500
}

export const queryClient = new QueryClient({
  defaultOptions: { queries: { retry: isWorthRetrying, staleTime: 5_000, refetchOnWindowFocus: true } },
})

type Request<Id extends OperationId> = RouteRequest<ApiRoutes[Id]>
type Response<Id extends OperationId> = RouteResponse<ApiRoutes[Id]>

/** Reads a route; the cache key is the operation and its request, so that live messages can name what changed. */
export function useApi<Id extends OperationId>(
  id: Id,
  request: Request<Id>,
  options: Partial<
    Pick<UseQueryOptions<Response<Id>>, 'enabled' | 'refetchInterval' | 'placeholderData'>
  > = {},
) {
  return useQuery<Response<Id>>({
    queryKey: [id, request],
    queryFn: ({ signal }) => api(apiRoutes[id], { ...request, signal } as never) as Promise<Response<Id>>,
    ...options,
  })
}

/** Writes through a route; failures are shown as a message, `reads` are read again afterwards. */
export function useApiWrite<Id extends OperationId>(
  id: Id,
  reads: OperationId[],
  onDone?: (response: Response<Id>) => void,
) {
  const queries = useQueryClient()
  const { message } = App.useApp()
  return useMutation<Response<Id>, Error, Request<Id>>({
    mutationFn: (request) => api(apiRoutes[id], request as never) as Promise<Response<Id>>,
    onSuccess: (response) => {
      for (const read of reads) void queries.invalidateQueries({ queryKey: [read] })
      onDone?.(response)
    },
    onError: (error) => void message.error(errorToText(error)),
  })
}
