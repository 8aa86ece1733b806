import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AppError, apiRoutes, type EnrolRole } from '@ringwall/contracts'
import { run } from '@ringwall/runtime'
import { z } from 'zod'
import { createAgentCgroup } from '../agent-cgroup.ts'
import { type Context, createClientOf } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { loadLocalProfile } from '../profile.ts'
import { type ProgramName, programCommand } from '../programs.ts'
import { type Supervised, supervise } from '../supervisor.ts'
import { fill } from '../text/text.ts'

const centerReadySchema = z.object({
  url: z.string(),
  gateway: z.string(),
  caHash: z.string(),
  firstPassword: z.string().nullish(),
  isEvaluationDatabase: z.boolean().optional(),
})
type CenterReady = z.infer<typeof centerReadySchema>

/** Enrols the scanner or agent of this machine once, with a token that is good for this one use. */
async function enrolLocally(context: Context, role: EnrolRole, center: CenterReady): Promise<void> {
  if (existsSync(join(context.home, role, 'identity.json'))) return
  const profile = loadLocalProfile(context.home)
  if (profile === undefined) throw new AppError('unauthenticated')
  const { token } = await createClientOf(profile)(apiRoutes.createEnrolToken, {
    body: { name: `ringwall up: ${role}`, role, maxUses: 1, expiresInHours: 1 },
  })
  const { file, args, env } = programCommand(
    role,
    ['enroll', '--center', center.gateway, '--token', token, '--ca-hash', center.caHash],
    context.home,
  )
  const result = await run(file, args, { timeoutMs: 60_000, env })
  if (result.code !== 0)
    throw new AppError('command_failed', {
      command: `${role} enroll`,
      reason: result.stderr.trim().slice(-500),
    })
}

function printReady(context: Context, center: CenterReady): void {
  const { up } = context.text
  const lines = [
    `${up.console}: ${center.url}`,
    `${up.user}: admin`,
    `${up.password}: ${center.firstPassword ?? up.passwordKept}`,
    `${up.gateway}: ${center.gateway}`,
    `${up.caHash}: ${center.caHash}`,
    `${up.state}: ${context.home}`,
  ]
  context.print(`\n${up.ready}\n\n${lines.map((line) => `  ${line}`).join('\n')}\n`)
  if (center.isEvaluationDatabase) context.note(up.evaluation)
  if (process.getuid?.() !== 0) context.note(up.rootless)
  context.note(up.stop)
}

/** `ringwall up`: center, scanner and agent of this machine, until a signal ends it. */
export async function up(context: Context, signal: AbortSignal): Promise<number> {
  mkdirSync(context.home, { recursive: true, mode: 0o755 })
  const running: Supervised[] = []
  const cgroup = createAgentCgroup(process.pid)
  const start = async (name: ProgramName) => {
    context.note(fill(context.text.up.starting, { what: name }))
    const supervised = supervise(name, ['run'], {
      home: context.home,
      logPath: join(context.home, 'logs', `${name}.log`),
      onSpawn: name === 'agent' ? cgroup?.add : undefined,
      onExit: (what, how, restartInMs) =>
        context.note(
          fill(context.text.up.exited, {
            what,
            how,
            seconds: Math.ceil(restartInMs / 1000),
            log: join(context.home, 'logs', `${name}.log`),
          }),
        ),
    })
    running.push(supervised)
    return await supervised.ready
  }
  try {
    const center = centerReadySchema.parse(await start('center'))
    await enrolLocally(context, 'scanner', center)
    await start('scanner')
    await enrolLocally(context, 'agent', center)
    await start('agent')
    printReady(context, center)
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    return exitCodes.ok
  } finally {
    for (const supervised of running.reverse()) await supervised.stop()
    cgroup?.remove()
  }
}
