/**
 * XML answers of platforms as small trees. Names are local names: real servers and simulators differ in prefixes. What a platform sends is
 * not trusted: the size, depth and number of elements are bounded, and a document type is refused, so no entity can expand.
 */
import { AppError } from '@ringwall/contracts'
import { SaxesParser } from 'saxes'

export type XmlElement = {
  name: string
  attributes: Record<string, string>
  children: XmlElement[]
  /** The text directly inside, trimmed. */
  text: string
}

export type XmlBudget = { maxDepth: number; maxElements: number; maxChars: number }
/** A page of 100 machines has some 30,000 elements and 1 MB. */
const defaultBudget: XmlBudget = { maxDepth: 64, maxElements: 1_000_000, maxChars: 128 * 1024 * 1024 }

/** The root of a whole document. Errors: platform_answer_invalid for what is not well-formed, cut off, or beyond the budget. */
export function parseXml(
  text: string,
  source: { address: string; request: string },
  budget: XmlBudget = defaultBudget,
): XmlElement {
  const refuse = (reason: string, cause?: unknown) =>
    new AppError('platform_answer_invalid', { ...source, reason }, { cause })
  if (text.length > budget.maxChars) throw refuse(`more than ${budget.maxChars} characters`)
  const parser = new SaxesParser({ xmlns: true })
  const open: XmlElement[] = []
  let root: XmlElement | undefined
  let elements = 0
  parser.on('doctype', () => {
    throw refuse('it has a document type')
  })
  parser.on('opentag', (tag) => {
    elements += 1
    if (elements > budget.maxElements) throw refuse(`more than ${budget.maxElements} elements`)
    if (open.length >= budget.maxDepth) throw refuse(`elements nested deeper than ${budget.maxDepth}`)
    const attributes: Record<string, string> = Object.create(null)
    for (const { local, value } of Object.values(tag.attributes)) attributes[local] = value
    const element: XmlElement = { name: tag.local, attributes, children: [], text: '' }
    const parent = open.at(-1)
    if (parent === undefined) root = element
    else parent.children.push(element)
    open.push(element)
  })
  const onText = (chunk: string) => {
    const element = open.at(-1)
    if (element !== undefined) element.text += chunk
  }
  parser.on('text', onText)
  parser.on('cdata', onText)
  parser.on('closetag', () => {
    const element = open.pop()
    if (element !== undefined) element.text = element.text.trim()
  })
  try {
    parser.write(text).close()
  } catch (error) {
    if (error instanceof AppError) throw error
    throw refuse(`not XML (${error instanceof Error ? error.message : String(error)})`, error)
  }
  if (root === undefined) throw refuse('an empty document')
  return root
}

/** The first child of that name. */
export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name)
}

/** Every child of that name: a list may have one element or many. */
export function childrenOf(element: XmlElement | undefined, name: string): XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? []
}

/** The element at the end of a path of first children. */
export function elementAt(element: XmlElement | undefined, ...path: string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>(childOf, element)
}

/** The text at the end of a path of first children; null where there is none. */
export function textAt(element: XmlElement | undefined, ...path: string[]): string | null {
  return elementAt(element, ...path)?.text || null
}

/** Text for use in an element or a quoted attribute. */
export function escapeXml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&apos;',
  }
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}
