import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

/** Asks on the terminal, or reads a line of standard input; a secret is not shown. */
export async function ask(question: string, isSecret: boolean): Promise<string> {
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!isSecret) process.stderr.write(chunk)
      done()
    },
  })
  if (isSecret) process.stderr.write(`${question}: `)
  const prompt = createInterface({ input: process.stdin, output, terminal: process.stdin.isTTY === true })
  try {
    return await prompt.question(isSecret ? '' : `${question}: `)
  } finally {
    prompt.close()
    if (isSecret) process.stderr.write('\n')
  }
}
