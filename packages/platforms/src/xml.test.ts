import { AppError } from '@ringwall/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  childOf,
  childrenOf,
  createXmlReader,
  documentBudget,
  escapeXml,
  parseXml,
  textOf,
  type XmlElement,
} from './xml.ts'

const read = (xml: string, budget = documentBudget): XmlElement =>
  parseXml(xml, (problems) => new AppError('message_invalid', { type: 'xml', problems }), budget)

describe('reading XML', () => {
  it('knows xsi:type by its namespace, whatever the prefix', () => {
    for (const prefix of ['xsi', 'XMLSchema-instance', '_XMLSchema-instance']) {
      const value = read(
        `<a xmlns:${prefix}="http://www.w3.org/2001/XMLSchema-instance"><val type="HostSystem" ${prefix}:type="vim25:ManagedObjectReference">host-1</val></a>`,
      ).children[0]
      expect(value).toEqual({
        name: 'val',
        attributes: { type: 'HostSystem', 'xsi:type': 'vim25:ManagedObjectReference' },
        text: 'host-1',
        children: [],
      })
    }
  })

  it('gives local names, attributes of no namespace, and texts with CDATA in one', () => {
    const root = read(
      '<a:vms xmlns:a="urn:x"><a:vm id="1" a:id="9"><name> 网关 &amp; <![CDATA[<one>]]><!-- --></name></a:vm><a:vm id="2" __proto__="3"/></a:vms>',
    )
    expect(root.name).toBe('vms')
    expect(childrenOf(root, 'vm').map((vm) => Object.entries(vm.attributes))).toEqual([
      [['id', '1']],
      [
        ['id', '2'],
        ['__proto__', '3'],
      ],
    ])
    expect(childrenOf(root, 'vm', 'name').map(({ text }) => text)).toEqual([' 网关 & <one>'])
    expect(childOf(root, 'vm')?.text).toBe('')
    expect(textOf(root, 'vm', 'absent', 'deeper')).toBeNull()
  })

  it('hands out elements one by one and forgets them, also when cut anywhere', () => {
    const xml = '<r><v>1</v><o><n>a</n></o><o><n>b<o/></n></o><t>true</t></r>'
    for (let cut = 0; cut <= xml.length; cut += 1) {
      const names: (string | null)[] = []
      const reader = createXmlReader({
        handOut: 'o',
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
    expect(() => read(xml)).toThrow(
      expect.objectContaining({ code: 'message_invalid', message: expect.stringContaining(reason) }),
    )
  })

  it('refuses every cut of a document', () => {
    const whole = '<vms><vm id="1"><name>a</name></vm></vms>'
    expect(read(whole).name).toBe('vms')
    for (let length = 0; length < whole.length; length += 1)
      expect(() => read(whole.slice(0, length))).toThrow()
  })

  it('keeps to its budget', () => {
    const small = { maxDepth: 4, maxElements: 20, maxHeldElements: 10, maxHeldChars: 100 }
    expect(read('<a><b><c><d/></c></b></a>', small).name).toBe('a')
    expect(() => read('<a>'.repeat(5), small)).toThrow('deeper than 4')
    expect(() => read(`<a>${'<b/>'.repeat(10)}`, small)).toThrow('more than 10 elements at a time')
    expect(() => read(`<a>${'x'.repeat(101)}</a>`, small)).toThrow('more than 100 characters')
    expect(() => read(`<a><b c="${'x'.repeat(101)}"/></a>`, small)).toThrow('more than 100 characters')
    const reader = createXmlReader({ handOut: 'b', budget: small })
    expect(() => reader.write(`<a>${'<b/>'.repeat(20)}`)).toThrow('more than 20 elements')
  })

  it.each(['<a>', '<a b="', '<!--', '<?p '])('holds no endless piece after %j', (start) => {
    const budget = { ...documentBudget, maxHeldChars: 100 }
    const reader = createXmlReader({ budget })
    reader.write(start)
    expect(() => {
      for (let part = 0; part < 20; part += 1) reader.write('x'.repeat(10))
    }).toThrow('more than 100 characters')
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
        const root = read(`<a b="${escapeXml(text)}">${escapeXml(text)}</a>`)
        expect(root.text).toBe(expected)
        // White space in attributes is one kind of it: XML 1.0 section 3.3.3.
        expect(root.attributes.b).toBe(expected.replace(/[\n\t]/g, ' '))
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
