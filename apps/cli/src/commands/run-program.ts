import { spawn } from 'node:child_process'
import { type ProgramName, programCommand } from '../programs.ts'

/** `ringwall center|scanner|agent …`: runs the program in the foreground with its own arguments. */
export function runProgram(name: ProgramName, args: string[], home: string): Promise<number> {
  const { file, args: programArgs, env } = programCommand(name, args, home)
  const child = spawn(file, programArgs, { stdio: 'inherit', env })
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGINT', forward).on('SIGTERM', forward)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGTERM' || signal === 'SIGINT' ? 0 : 1)))
  })
}
