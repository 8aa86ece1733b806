import { AppError } from '@ringwall/contracts'
import { run } from '@ringwall/runtime'
import type { Context } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { programCommand } from '../programs.ts'
import { fill } from '../text/text.ts'

/** A scan of a whole machine on a slow disk. */
const sealTimeoutMs = 24 * 3600_000

type SealResult = {
  templateId: string
  filesJudged: number
  found: string[]
  removed: string[]
  quarantined: number
  keepsToken: boolean
}

/** `ringwall template seal`: makes this machine a golden image that is safe to clone. */
export async function sealTemplate(
  { text, home, print, note }: Context,
  options: { keepToken?: string; json?: boolean },
  signal: AbortSignal,
): Promise<number> {
  const token = options.keepToken === undefined ? [] : ['--keep-token', options.keepToken]
  const { file, args, env } = programCommand('agent', ['seal', ...token], home)
  note(text.template.scanning)
  const { code, stdout, stderr } = await run(file, args, {
    timeoutMs: sealTimeoutMs,
    signal,
    env,
  })
  if (code !== 0) {
    note(stderr.trim())
    return exitCodes.failed
  }
  const line = stdout.trim().split('\n').at(-1)
  if (line === undefined || line === '')
    throw new AppError('command_failed', { command: 'agent seal', reason: '' })
  const result = JSON.parse(line) as SealResult
  if (options.json) print(JSON.stringify(result, null, 2))
  else if (result.found.length > 0)
    print([fill(text.template.bad, { count: result.found.length }), ...result.found].join('\n'))
  else
    print(
      [
        fill(text.template.sealed, { id: result.templateId, files: result.filesJudged }),
        fill(text.template.removed, { what: result.removed.join(', ') }),
        ...(result.quarantined > 0 ? [fill(text.template.vault, { count: result.quarantined })] : []),
        result.keepsToken ? text.template.withToken : text.template.withoutToken,
      ].join('\n'),
    )
  return result.found.length > 0 ? exitCodes.found : exitCodes.ok
}
