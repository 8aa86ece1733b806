import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodeEnv, nodeFlags } from './programs.ts'

const launcher = readFileSync(join(import.meta.dirname, '../../../deploy/ringwall'), 'utf8')

it('starts the agent in the environment that its installed launcher makes', () => {
  const set = launcher.matchAll(/^([A-Z_]+)=(\d+)$/gm)
  expect(Object.fromEntries([...set].map(([, name, value]) => [name, value]))).toEqual(nodeEnv.agent)
})

it('starts the agent with the flags that its installed launcher has', () => {
  const command = launcher.slice(launcher.indexOf('exec "$here/node"'))
  expect(command.match(/ --[a-z][\w=-]*/g)?.map((flag) => flag.trim())).toEqual(nodeFlags.agent)
})
