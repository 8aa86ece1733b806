import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { childOf, createXmlReader, escapeXml, textOf, type XmlElement, xmlBudget } from './xml.ts'

function read(xml: string, budget = xmlBudget): XmlElement {
  const reader = createXmlReader({ budget })
  reader.write(xml)
  return reader.end()
}

describe('reading XML', () => {
  it('knows xsi:type by its namespace, whatever the prefix', () => {
    for (const prefix of ['xsi', 'XMLSchema-instance', '_XMLSchema-instance']) {
      const value = read(
        `<a xmlns:${prefix}="http://www.w3.org/2001/XMLSchema-instance"><val type="HostSystem" ${prefix}:type="vim25:ManagedObjectReference">host-1</val></a>`,
      ).children[0]
      expect(value).toEqual({
        name: 'val',
        xsiType: 'ManagedObjectReference',
        refType: 'HostSystem',
        text: 'host-1',
        children: [],
      })
    }
  })

  it('hands out elements one by one and forgets them, also when cut anywhere', () => {
    const xml = '<r><v>1</v><o><n>a</n></o><o><n>b<o/></n></o><t>true</t></r>'
    for (let cut = 0; cut <= xml.length; cut += 1) {
      const names: (string | null)[] = []
      const reader = createXmlReader({
        handOut: new Set(['o']),
        onElement: (element) => names.push(childOf(element, 'n')?.text ?? null),
      })
      reader.write(xml.slice(0, cut))
      reader.write(xml.slice(cut))
      const root = reader.end()
      expect(names).toEqual(['a', ''])
      expect(root.children.map(({ name }) => name)).toEqual(['v', 't'])
      expect(textOf(root, 't')).toBe('true')
    }
  })

  it.each([
    ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'document type'],
    ['an unknown entity', '<a>&b;</a>', 'entity'],
    ['an unbound prefix', '<x:a/>', 'prefix'],
    ['a document cut short', '<a><b>', 'unclosed'],
    ['nothing', '', 'document must contain a root'],
  ])('refuses %s', (_, xml, reason) => {
    expect(() => read(xml)).toThrow(reason)
  })

  it('keeps to its budget', () => {
    const small = { maxDepth: 4, maxElements: 20, maxHeldElements: 10, maxHeldText: 100 }
    expect(() => read('<a>'.repeat(5), small)).toThrow('deeper than 4')
    expect(() => read(`<a>${'<b/>'.repeat(10)}`, small)).toThrow('more than 10 elements at a time')
    expect(() => read(`<a>${'x'.repeat(101)}</a>`, small)).toThrow('more than 100 characters')
    const reader = createXmlReader({ handOut: new Set(['b']), budget: small })
    expect(() => reader.write(`<a>${'<b/>'.repeat(20)}`)).toThrow('more than 20 elements')
  })

  it('gives back any text that was escaped', () => {
    const anyText = fc
      .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0x7f })))
      .map((units) => String.fromCharCode(...units))
    fc.assert(
      fc.property(anyText, (text) => {
        const expected = text
          .toWellFormed()
          // biome-ignore lint/suspicious/noControlCharactersInRegex: what XML 1.0 cannot carry
          .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
        expect(read(`<a>${escapeXml(text)}</a>`).text).toBe(expected)
      }),
    )
  })

  it('answers any bytes with an element or an Error, in pieces as in one', () => {
    const token = fc.constantFrom(
      ...[
        '<a>',
        '</a>',
        '<b c="d">',
        '</b>',
        '<x:y xmlns:x="u">',
        '</x:y>',
        '&lt;',
        '&#0;',
        ']]>',
        '<![CDATA[',
      ],
      ...['<!--', '-->', '<?xml version="1.0"?>', '<!DOCTYPE a>', '"', '\u0000', '\ud800', ' ', 'text'],
    )
    const document = fc.array(fc.oneof(token, fc.string()), { maxLength: 40 })
    const attempt = (parts: string[]) => {
      const reader = createXmlReader()
      try {
        for (const part of parts) reader.write(part)
        return JSON.stringify(reader.end())
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
        return 'refused'
      }
    }
    fc.assert(
      fc.property(document, (parts) => {
        expect(attempt(parts)).toBe(attempt([parts.join('')]))
      }),
      { numRuns: 500 },
    )
  })
})
