import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodeFlags } from './programs.ts'

it('starts the agent with the flags that its installed launcher has', () => {
  const launcher = readFileSync(join(import.meta.dirname, '../../../deploy/ringwall'), 'utf8')
  const command = launcher.slice(launcher.indexOf('exec "$here/node"'))
  expect(command.match(/ --[a-z][\w=-]*/g)?.map((flag) => flag.trim())).toEqual(nodeFlags.agent)
})
