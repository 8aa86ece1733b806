import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { alarmKinds, errorCodes } from '@ringwall/contracts'
import { expect, it } from 'vitest'

type Texts = { [key: string]: string | Texts }
const read = (name: string) =>
  JSON.parse(
    readFileSync(join(import.meta.dirname, `../../apps/console/src/locales/${name}.json`), 'utf8'),
  ) as Texts
const flat = (texts: Texts, prefix = ''): [string, string][] =>
  Object.entries(texts).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value] as [string, string]] : flat(value, `${prefix}${key}.`),
  )
/** Chinese has one plural form, English two. */
const base = (key: string) => key.replace(/_(one|other)$/, '')
const params = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '')

const en = new Map(flat(read('en')).map(([key, value]) => [base(key), value]))
const zh = new Map(flat(read('zh-CN')).map(([key, value]) => [base(key), value]))

it('says everything in both languages', () => {
  expect([...zh.keys()].sort()).toEqual([...en.keys()].sort())
  for (const [key, value] of [...en, ...zh]) expect(value.trim(), key).not.toBe('')
})

it('names the same params in both', () => {
  for (const [key, text] of en) expect(new Set(params(zh.get(key) ?? '')), key).toEqual(new Set(params(text)))
})

it('has words for every alarm', () => {
  expect(errorCodes.length).toBeGreaterThan(0)
  for (const kind of alarmKinds)
    expect(
      [...en.keys()].some((key) => key.includes(kind)),
      kind,
    ).toBe(true)
})
