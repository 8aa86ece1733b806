import { createReadStream } from 'node:fs'
import { AppError, type PushTarget, type SshCredentials } from '@ringwall/contracts'
import { openSshSession, type SshSession } from '@ringwall/platforms'
import type { AgentPackage } from './agent-package.ts'
import { installScript, packageMachine, shellQuote } from './install-script.ts'

export type PushStep = Extract<PushTarget['state'], 'connecting' | 'copying' | 'installing'>

const maxReasonLength = 300

function sudoPasswordOf(credentials: SshCredentials): string | undefined {
  return credentials.kind === 'password' ? credentials.password : credentials.sudoPassword
}

/** Pushes the agent to one Linux machine; answers the id it enrolled with. `onStep` hears where it is. */
export async function pushTo(options: {
  name: string
  host: string
  port: number
  credentials: SshCredentials
  acceptHostKey: (fingerprint: string) => void
  agentPackage: AgentPackage
  enrolArguments: string
  onStep: (step: PushStep) => Promise<void>
  signal: AbortSignal
}): Promise<{ machineId: string }> {
  const { name, host, port, credentials, agentPackage, enrolArguments, onStep } = options
  const address = port === 22 ? host : `${host}:${port}`
  await onStep('connecting')
  const session = await openSshSession({ ...options, account: accountOf(credentials) })
  try {
    const must = async (step: string, command: string, stdin?: Parameters<SshSession['run']>[1]) => {
      const { exitCode, stdout, stderr } = await session.run(command, stdin)
      if (exitCode === 0) return stdout
      const reason = lastWords(stderr) || lastWords(stdout) || `exit code ${exitCode}`
      throw new AppError('ssh_command_failed', { address, step, reason })
    }
    const told = (await must('uname', 'uname -sm; id -u')).split('\n').map((line) => line.trim())
    const [system = '', userId = ''] = told
    if (system !== `Linux ${packageMachine}`)
      throw new AppError('push_unsupported', {
        name,
        reason: `${system.slice(0, 80)}, not Linux ${packageMachine}`,
      })
    const asRoot = userId === '0' ? { prefix: '', stdin: '' } : await sudo(session, credentials, address)
    await onStep('copying')
    const folder = (await must('mktemp', 'umask 077; mktemp -d')).trim()
    const archive = shellQuote(`${folder}/agent.tar.gz`)
    try {
      await must('copy', `cat > ${archive}`, createReadStream(agentPackage.path))
      await must(
        'sha256sum',
        `echo ${shellQuote(`${agentPackage.sha256}  ${folder}/agent.tar.gz`)} | sha256sum -c --quiet`,
      )
      await onStep('installing')
      // On standard input, where no list of processes shows the token.
      const output = await must(
        'install',
        `${asRoot.prefix}sh -s`,
        `${asRoot.stdin}${installScript(archive, enrolArguments)}\n`,
      )
      const machineId = /"id":"([0-9a-f-]{36})"/.exec(output)?.[1]
      if (machineId === undefined)
        throw new AppError('ssh_command_failed', { address, step: 'enroll', reason: 'it did not tell an id' })
      return { machineId }
    } finally {
      await session.run(`rm -rf ${shellQuote(folder)}`).catch(() => undefined)
    }
  } finally {
    session.close()
  }
}

/** The last lines of what a program said, as one. */
function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(-3).join(' ').trim().slice(-maxReasonLength)
}

function accountOf(credentials: SshCredentials) {
  return credentials.kind === 'password'
    ? { username: credentials.username, password: credentials.password }
    : {
        username: credentials.username,
        privateKeyPem: credentials.privateKeyPem,
        passphrase: credentials.passphrase,
      }
}

/** How to become root. The password is sent only where sudo asks for one: a shell would take it for a command. */
async function sudo(
  session: SshSession,
  credentials: SshCredentials,
  address: string,
): Promise<{ prefix: string; stdin: string }> {
  if ((await session.run('sudo -n true')).exitCode === 0) return { prefix: 'sudo -n ', stdin: '' }
  const password = sudoPasswordOf(credentials)
  if (password === undefined)
    throw new AppError('ssh_command_failed', {
      address,
      step: 'sudo',
      reason: 'sudo asks for a password and none was given',
    })
  const { exitCode, stderr } = await session.run(`sudo -k -S -p '' true`, `${password}\n`)
  if (exitCode !== 0)
    throw new AppError('ssh_command_failed', {
      address,
      step: 'sudo',
      reason: lastWords(stderr),
    })
  return { prefix: `sudo -k -S -p '' `, stdin: `${password}\n` }
}
