import { SaxesParser, type SaxesTagNS } from 'saxes'

/** An element of an answer. Names are local names: servers choose their prefixes as they like. */
export type XmlElement = {
  name: string
  /** `xsi:type` without its prefix, e.g. `VirtualDisk`; undefined where there is none. */
  xsiType: string | undefined
  /** The attribute `type` of a managed object reference, e.g. `HostSystem`. */
  refType: string | undefined
  text: string
  children: XmlElement[]
}

const xsiNamespace = 'http://www.w3.org/2001/XMLSchema-instance'

/** What one document may cost. A VM has some 300 elements; 10,000 of them fit, and a parser is never driven into the wall. */
export const xmlBudget = {
  maxDepth: 64,
  maxElements: 20_000_000,
  /** Elements held at one time, i.e. since the last one that was handed out. */
  maxHeldElements: 200_000,
  /** Characters of text and attributes held at one time. */
  maxHeldText: 16 * 1024 * 1024,
}
export type XmlBudget = typeof xmlBudget

export type XmlReader = {
  write: (text: string) => void
  /** The root, without what was handed out. Throws where the document is not complete. */
  end: () => XmlElement
}

/**
 * Reads a document piece by piece. Elements called one of `handOut` go to `onElement` when they end and are forgotten,
 * so that an answer with 10,000 objects holds one at a time. No document types, hence no entities of the sender's own.
 * Throws an Error with the reason for what is not well-formed (XML 1.0, Namespaces 1.0) or over budget.
 */
export function createXmlReader(
  options: {
    handOut?: ReadonlySet<string>
    onElement?: (element: XmlElement) => void
    budget?: XmlBudget
  } = {},
): XmlReader {
  const { handOut = new Set(), onElement, budget = xmlBudget } = options
  const parser = new SaxesParser({ xmlns: true, position: false })
  const open: XmlElement[] = []
  let root: XmlElement | undefined
  let handOutDepth = 0
  let elements = 0
  let heldElements = 0
  let heldText = 0

  const holdText = (length: number) => {
    heldText += length
    if (heldText > budget.maxHeldText) throw new Error(`more than ${budget.maxHeldText} characters at a time`)
  }
  const addText = (text: string) => {
    holdText(text.length)
    const element = open.at(-1)
    if (element !== undefined) element.text += text
  }

  parser.on('error', (error) => {
    throw error
  })
  parser.on('doctype', () => {
    throw new Error('it has a document type')
  })
  parser.on('opentag', (tag) => {
    elements += 1
    heldElements += 1
    if (elements > budget.maxElements) throw new Error(`more than ${budget.maxElements} elements`)
    if (heldElements > budget.maxHeldElements)
      throw new Error(`more than ${budget.maxHeldElements} elements at a time`)
    if (open.length >= budget.maxDepth) throw new Error(`deeper than ${budget.maxDepth} elements`)
    const element = toElement(tag)
    holdText((element.xsiType?.length ?? 0) + (element.refType?.length ?? 0))
    open.push(element)
    if (handOutDepth === 0 && handOut.has(element.name)) handOutDepth = open.length
  })
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => {
    const depth = open.length
    const element = open.pop()
    if (element === undefined) return
    // Between child elements there is only white space that nobody reads.
    if (element.children.length > 0) element.text = ''
    if (depth === handOutDepth) {
      handOutDepth = 0
      heldElements = open.length
      heldText = 0
      onElement?.(element)
    } else if (depth === 1) root = element
    else open.at(-1)?.children.push(element)
  })

  return {
    write: (text) => void parser.write(text),
    end: () => {
      parser.close()
      if (root === undefined) throw new Error('it is empty')
      return root
    },
  }
}

function toElement(tag: SaxesTagNS): XmlElement {
  let xsiType: string | undefined
  let refType: string | undefined
  for (const { local, uri, value } of Object.values(tag.attributes)) {
    if (local !== 'type') continue
    if (uri === xsiNamespace) xsiType = value.slice(value.indexOf(':') + 1)
    else if (uri === '') refType = value
  }
  return { name: tag.local, xsiType, refType, text: '', children: [] }
}

export function childOf(element: XmlElement | undefined, ...path: string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>(
    (at, name) => at?.children.find((child) => child.name === name),
    element,
  )
}

export function childrenOf(element: XmlElement | undefined, name: string): XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? []
}

/** Text of the first child on a path; null where it is absent or empty. */
export function textOf(element: XmlElement | undefined, ...path: string[]): string | null {
  return childOf(element, ...path)?.text || null
}

/** Text for element content and attributes. Characters that XML 1.0 cannot carry become U+FFFD. */
export function escapeXml(text: string): string {
  return (
    text
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 section 2.2 leaves them out
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`)
  )
}
