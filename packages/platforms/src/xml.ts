/**
 * The one reader of XML that platforms send: small trees over the SAX parser of saxes. What a platform sends is not trusted: depth, elements
 * and characters are bounded, and a document type is refused, so that no entity of the sender's own can expand.
 */
import type { AppError } from '@ringwall/contracts'
import { SaxesParser, type SaxesTagNS } from 'saxes'

export type XmlElement = {
  /** The local name: servers choose their prefixes as they like. */
  name: string
  /** Those of no namespace by their names, those of XML Schema instance as `xsi:…` whatever their prefix; no others. */
  attributes: Readonly<Record<string, string>>
  /** The text directly inside, as it stands there. Empty where there are children: between them is white space that nobody reads. */
  text: string
  children: XmlElement[]
}

/** What one document may cost. "Held" counts since the last element that was handed out. */
export type XmlBudget = {
  maxDepth: number
  maxElements: number
  maxHeldElements: number
  /** Characters of text and attributes. */
  maxHeldChars: number
}
/** A VM of vSphere has some 300 elements; 10,000 of them fit. */
export const streamBudget: XmlBudget = {
  maxDepth: 64,
  maxElements: 20_000_000,
  maxHeldElements: 200_000,
  maxHeldChars: 16 * 1024 * 1024,
}
/** A page of 100 machines of oVirt has some 30,000 elements and 1 MB. */
export const documentBudget: XmlBudget = {
  maxDepth: 64,
  maxElements: 1_000_000,
  maxHeldElements: 1_000_000,
  maxHeldChars: 64 * 1024 * 1024,
}

export type XmlReader = {
  write: (text: string) => void
  /** The root, without what was handed out. Throws where the document is not complete. */
  end: () => XmlElement
}

/**
 * Reads a document piece by piece. Elements called `handOut` go to `onElement` when they end and are forgotten, so that an answer with
 * 10,000 objects holds one at a time. Throws an Error with the reason for what is not well-formed (XML 1.0, Namespaces 1.0) or over budget.
 */
export function createXmlReader(
  options: { handOut?: string; onElement?: (element: XmlElement) => void; budget?: XmlBudget } = {},
): XmlReader {
  const { handOut, onElement, budget = streamBudget } = options
  const parser = new SaxesParser({ xmlns: true, position: false })
  const open: XmlElement[] = []
  let root: XmlElement | undefined
  let handOutDepth = 0
  let elements = 0
  let heldElements = 0
  let heldChars = 0
  /** The parser itself keeps what it has of a text or a tag until that ends. */
  let unfinishedChars = 0

  const boundChars = (chars: number) => {
    if (chars > budget.maxHeldChars) throw new Error(`more than ${budget.maxHeldChars} characters at a time`)
  }
  const addText = (text: string) => {
    heldChars += text.length
    boundChars(heldChars)
    const element = open.at(-1)
    if (element !== undefined) element.text += text
  }

  parser.on('doctype', () => {
    throw new Error('it has a document type')
  })
  parser.on('opentag', (tag) => {
    unfinishedChars = 0
    elements += 1
    heldElements += 1
    if (elements > budget.maxElements) throw new Error(`more than ${budget.maxElements} elements`)
    if (heldElements > budget.maxHeldElements)
      throw new Error(`more than ${budget.maxHeldElements} elements at a time`)
    if (open.length >= budget.maxDepth) throw new Error(`deeper than ${budget.maxDepth} elements`)
    const attributes = attributesOf(tag)
    for (const name in attributes) heldChars += attributes[name]?.length ?? 0
    boundChars(heldChars)
    open.push({ name: tag.local, attributes, text: '', children: [] })
    if (handOutDepth === 0 && tag.local === handOut) handOutDepth = open.length
  })
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => {
    unfinishedChars = 0
    const depth = open.length
    const element = open.pop()
    if (element === undefined) return
    if (element.children.length > 0) element.text = ''
    if (depth === handOutDepth) {
      handOutDepth = 0
      heldElements = open.length
      heldChars = 0
      onElement?.(element)
    } else if (depth === 1) root = element
    else open.at(-1)?.children.push(element)
  })

  return {
    write: (text) => {
      unfinishedChars += text.length
      parser.write(text)
      boundChars(unfinishedChars)
    },
    end: () => {
      parser.close()
      if (root === undefined) throw new Error('it is empty')
      return root
    },
  }
}

/** The root of a whole document. What is wrong with it is thrown as the error that `invalid` makes of the reason. */
export function parseXml(
  text: string,
  invalid: (reason: string, cause: unknown) => AppError,
  budget = documentBudget,
): XmlElement {
  const reader = createXmlReader({ budget })
  try {
    reader.write(text)
    return reader.end()
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error), error)
  }
}

const xsiNamespace = 'http://www.w3.org/2001/XMLSchema-instance'
const noAttributes: XmlElement['attributes'] = Object.freeze(Object.create(null))

function attributesOf(tag: SaxesTagNS): XmlElement['attributes'] {
  let attributes: Record<string, string> | undefined
  for (const name in tag.attributes) {
    const attribute = tag.attributes[name]
    if (attribute === undefined || (attribute.uri !== '' && attribute.uri !== xsiNamespace)) continue
    attributes ??= Object.create(null) as Record<string, string>
    attributes[attribute.uri === '' ? name : `xsi:${attribute.local}`] = attribute.value
  }
  return attributes ?? noAttributes
}

/** The element at the end of a path of first children. */
export function childOf(element: XmlElement | undefined, ...path: string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>(
    (at, name) => at?.children.find((child) => child.name === name),
    element,
  )
}

/** Every element that a path of names leads to: a list may have one element or many. */
export function childrenOf(element: XmlElement | undefined, ...path: string[]): XmlElement[] {
  return path.reduce<XmlElement[]>(
    (found, name) => found.flatMap((parent) => parent.children.filter((child) => child.name === name)),
    element === undefined ? [] : [element],
  )
}

/** Text at the end of a path of first children; null where it is absent or empty. */
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
