import { AppError, errorText } from '@ringwall/contracts'
import { Command, Option } from 'commander'
import { verifyAudit } from './commands/audit.ts'
import { capturePlatform } from './commands/capture.ts'
import { completionScript } from './commands/completion.ts'
import { demo } from './commands/demo.ts'
import { doctor } from './commands/doctor.ts'
import { listFindings, listMachines, listQuarantine } from './commands/lists.ts'
import { login } from './commands/login.ts'
import { addPlatform, listAssets, listPlatforms, syncPlatform, testPlatform } from './commands/platforms.ts'
import { deleteQuarantined, restoreQuarantined } from './commands/quarantine.ts'
import { runProgram } from './commands/run-program.ts'
import { scan } from './commands/scan.ts'
import { listQueue, listSchedules } from './commands/scan-queue.ts'
import { sealTemplate } from './commands/template.ts'
import { up } from './commands/up.ts'
import { createContext } from './context.ts'
import { exitCodeOf, exitCodes } from './exit-codes.ts'
import { programNames } from './programs.ts'

const context = createContext(process.env)
const { text } = context
const stopping = new AbortController()
let exitCode: number = exitCodes.ok

/** Wraps a command: its exit code is kept, a signal aborts it. */
function action<Args extends unknown[]>(command: (...args: Args) => Promise<number>) {
  return async (...args: Args) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
    exitCode = await command(...args)
  }
}

function listOptions(command: Command): Command {
  return command.option('--json', text.options.json).option('--limit <n>', '', '50').option('--search <text>')
}

const version = process.env.RINGWALL_VERSION ?? '0.0.0'
const program = new Command('ringwall')
  .enablePositionalOptions()
  .description(text.description)
  .version(version)
  .option('--home <dir>', text.options.home)
  .hook('preAction', (command) => {
    const { home } = command.opts<{ home?: string }>()
    if (home !== undefined) context.home = home
  })

program
  .command('up')
  .description(text.commands.up)
  .action(action(() => up(context, stopping.signal)))
for (const name of programNames) {
  program
    .command(name)
    .description(text.commands[name])
    .argument('[args...]')
    .allowUnknownOption()
    .helpOption(false)
    .passThroughOptions()
    .action(
      action(async (args: string[]) => runProgram(name, args.length > 0 ? args : ['run'], context.home)),
    )
}
program
  .command('login')
  .description(text.commands.login)
  .argument('<url>')
  .option('--ca-hash <hash>')
  .option('--user <name>')
  .action(action((url: string, options) => login(context, url, options)))
listOptions(program.command('machines').description(text.commands.machines)).action(
  action((options) => listMachines(context, options)),
)
listOptions(program.command('assets').description(text.commands.assets))
  .option('--unprotected')
  .action(action((options) => listAssets(context, options)))
const platform = program.command('platform').description(text.commands.platform)
listOptions(platform.command('list').description(text.commands.platformList)).action(
  action((options) => listPlatforms(context, options)),
)
function connectionOptions(command: Command): Command {
  return command
    .requiredOption('--kind <kind>')
    .requiredOption('--address <address>')
    .option('--fingerprint <fingerprint>')
    .option('--user <name>')
    .option('--token-id <id>')
    .option('--ssh-key <file>')
}
connectionOptions(platform.command('add').description(text.commands.platformAdd))
  .requiredOption('--name <name>')
  .option('--json', text.options.json)
  .action(action((options) => addPlatform(context, options)))
connectionOptions(platform.command('test').description(text.commands.platformTest))
  .option('--json', text.options.json)
  .action(action((options) => testPlatform(context, options)))
connectionOptions(platform.command('capture').description(text.commands.platformCapture))
  .requiredOption('--output <file>')
  .action(action((options) => capturePlatform(context, options, stopping.signal)))
platform
  .command('sync')
  .description(text.commands.platformSync)
  .argument('<name>')
  .action(action((name: string) => syncPlatform(context, name)))
program
  .command('demo')
  .description(text.commands.demo)
  .action(action(() => demo(context, stopping.signal)))
program
  .command('scan')
  .description(text.commands.scan)
  .argument('[paths...]')
  .option('--machine <name>')
  .option('--host <name>')
  .option('--wait')
  .option('--json', text.options.json)
  .action(action((paths: string[], options) => scan(context, paths, options, stopping.signal)))
program
  .command('queue')
  .description(text.commands.queue)
  .option('--json', text.options.json)
  .option('--limit <n>', '', '50')
  .option('--host <id>')
  .action(action((options) => listQueue(context, options)))
program
  .command('schedules')
  .description(text.commands.schedules)
  .command('list')
  .description(text.commands.schedulesList)
  .option('--json', text.options.json)
  .option('--limit <n>', '', '50')
  .action(action((options) => listSchedules(context, options)))
listOptions(program.command('findings').description(text.commands.findings))
  .option('--all')
  .action(action((options) => listFindings(context, options)))

const quarantine = program.command('quarantine').description(text.commands.quarantine)
listOptions(quarantine.command('list').description(text.commands.quarantineList))
  .option('--all')
  .action(action((options) => listQuarantine(context, options)))
quarantine
  .command('restore')
  .description(text.commands.quarantineRestore)
  .argument('<id>')
  .option('--overwrite')
  .option('--keep-blocked')
  .option('--json', text.options.json)
  .action(action((id: string, options) => restoreQuarantined(context, id, options, stopping.signal)))
quarantine
  .command('delete')
  .description(text.commands.quarantineDelete)
  .argument('<id>')
  .option('--json', text.options.json)
  .action(action((id: string, options) => deleteQuarantined(context, id, options, stopping.signal)))

program
  .command('template')
  .description(text.commands.template)
  .command('seal')
  .description(text.commands.templateSeal)
  .option('--keep-token <token>', text.options.keepToken)
  .option('--json', text.options.json)
  .action(action((options) => sealTemplate(context, options, stopping.signal)))

const audit = program.command('audit').description(text.commands.audit)
audit
  .command('verify')
  .description(text.commands.auditVerify)
  .option('--json', text.options.json)
  .action(action((options) => verifyAudit(context, options)))
program
  .command('doctor')
  .description(text.commands.doctor)
  .option('--json', text.options.json)
  .action(action((options) => doctor(context, options)))
program
  .command('completion')
  .description(text.commands.completion)
  .addOption(new Option('--shell <name>').choices(['bash', 'zsh']).default('bash'))
  .action(
    action(async ({ shell }: { shell: 'bash' | 'zsh' }) => {
      context.print(completionScript(program, shell))
      return exitCodes.ok
    }),
  )

program.exitOverride((error) => {
  process.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage)
})
try {
  await program.parseAsync()
} catch (error) {
  if (stopping.signal.aborted) process.exit(130)
  const message =
    error instanceof AppError
      ? `${errorText(error.code, error.params, context.language)} [${error.code}]`
      : String(error)
  context.note(`${text.errorPrefix}: ${message}`)
  exitCode = exitCodeOf(error)
}
process.exitCode = exitCode
