import { AppError } from '@ringwall/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { childrenOf, escapeXml, parseXml, textAt } from './xml.ts'

const source = { address: 'engine.example', request: 'GET /api/vms' }
const codeOf = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
  return undefined
}

describe('XML of platforms', () => {
  it('reads elements by their local names, one or many', () => {
    const root = parseXml(
      '<a:vms xmlns:a="urn:x"><a:vm id="1"><name>网关 &amp; <![CDATA[<one>]]></name></a:vm><a:vm id="2"/></a:vms>',
      source,
    )
    expect(root.name).toBe('vms')
    expect(childrenOf(root, 'vm').map((vm) => vm.attributes.id)).toEqual(['1', '2'])
    expect(textAt(root, 'vm', 'name')).toBe('网关 & <one>')
    expect(textAt(root, 'vm', 'absent', 'deeper')).toBeNull()
  })

  it('refuses every cut of a document, document types, and what goes beyond the budget', () => {
    const whole = '<vms><vm id="1"><name>a</name></vm></vms>'
    for (let length = 0; length < whole.length; length += 1)
      expect(codeOf(() => parseXml(whole.slice(0, length), source))).toBe('platform_answer_invalid')
    const bomb = '<!DOCTYPE a [<!ENTITY b "cccc">]><a>&b;</a>'
    expect(codeOf(() => parseXml(bomb, source))).toBe('platform_answer_invalid')
    const budget = { maxDepth: 3, maxElements: 5, maxChars: 1000 }
    expect(codeOf(() => parseXml('<a><b><c><d/></c></b></a>', source, budget))).toBe(
      'platform_answer_invalid',
    )
    expect(codeOf(() => parseXml(`<a>${'<b/>'.repeat(5)}</a>`, source, budget))).toBe(
      'platform_answer_invalid',
    )
    expect(codeOf(() => parseXml(`<a>${' '.repeat(1000)}</a>`, source, budget))).toBe(
      'platform_answer_invalid',
    )
    expect(parseXml('<a><b><c/></b></a>', source, budget).name).toBe('a')
  })

  it('answers a tree or one clear error for anything', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '<',
        '>',
        '</',
        '/>',
        '<a>',
        '</a>',
        '<a b="',
        '"',
        '&',
        '&lt;',
        '<![CDATA[',
        ']]>',
        '<!--',
        '<?',
      ),
      fc.string({ maxLength: 8 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const code = codeOf(() => parseXml(pieces.join(''), source))
        expect([undefined, 'platform_answer_invalid']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })

  it('gives back any text that was escaped', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '&', '<', '>', '"', "'", '中', ' ') })
    fc.assert(
      fc.property(text, (value) => {
        const root = parseXml(`<a b="${escapeXml(value)}">x${escapeXml(value)}x</a>`, source)
        expect(root.attributes.b).toBe(value)
        expect(root.text).toBe(`x${value}x`)
      }),
    )
  })
})
