import { request } from 'node:https'
import { type LiveMessage, liveMessageSchema } from '@ringwall/contracts'
import type { Profile } from './profile.ts'

/** What one message may be at most; the center's are below 10 KiB. */
const maxMessageChars = 1024 * 1024

/** Takes text of an event stream in pieces (HTML standard, section 9.2) and answers the `data` that is whole. */
export function createEventReader(): (text: string) => string[] {
  let rest = ''
  return (text) => {
    rest += text
    const blocks = rest.split('\n\n')
    rest = blocks.pop() ?? ''
    if (rest.length > maxMessageChars) rest = ''
    return blocks.flatMap((block) => {
      const data = block.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []))
      return data.length === 0 ? [] : [data.join('\n')]
    })
  }
}

function parseMessage(data: string): LiveMessage | undefined {
  try {
    return liveMessageSchema.safeParse(JSON.parse(data)).data
  } catch {
    return undefined
  }
}

/**
 * Follows the changes that a center tells until `signal` aborts. `isOpen` answers whether they arrive: where they
 * do not (an old proxy, a center that restarts), the caller has to look for itself.
 */
export function followLive(
  { url, caPem, token }: Profile,
  onMessage: (message: LiveMessage) => void,
  signal: AbortSignal,
): { isOpen: () => boolean } {
  let isOpen = false
  const close = () => {
    isOpen = false
  }
  const call = request(new URL('/api/v1/live', url), {
    ca: caPem,
    agent: false,
    signal,
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
  })
  call.on('response', (response) => {
    isOpen = response.statusCode === 200
    const read = createEventReader()
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      for (const data of read(text)) {
        const message = parseMessage(data)
        if (message !== undefined) onMessage(message)
      }
    })
    response.on('error', close)
    response.on('close', close)
    // What changed before the stream was there is read now.
    if (isOpen) onMessage({ type: 'reset' })
  })
  call.on('error', close)
  call.end()
  return { isOpen: () => isOpen }
}
