import { AppError } from '@ringwall/contracts'
import { SaxesParser } from 'saxes'

export type XmlElement = {
  /** As written, prefix included. */
  name: string
  attributes: Record<string, string>
  children: XmlElement[]
  /** The character data directly inside, trimmed. */
  text: string
}

/** The XML of a domain with hundreds of disks stays far below these; what passes them is not a domain. */
const maxElements = 50_000
const maxDepth = 64

/** The root element of `text`. Throws message_invalid for what is not well-formed, has a DOCTYPE or passes a limit. */
export function parseXml(text: string): XmlElement {
  const invalid = (problems: string) => new AppError('message_invalid', { type: 'xml', problems })
  const root: XmlElement = { name: '', attributes: {}, children: [], text: '' }
  const open = [root]
  let elements = 0
  const parser = new SaxesParser()
  parser.on('error', (error) => {
    throw invalid(error.message)
  })
  parser.on('doctype', () => {
    throw invalid('a DOCTYPE')
  })
  parser.on('opentag', (tag) => {
    elements += 1
    if (elements > maxElements) throw invalid(`more than ${maxElements} elements`)
    if (open.length > maxDepth) throw invalid(`more than ${maxDepth} levels`)
    const element = { name: tag.name, attributes: tag.attributes, children: [], text: '' }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  const onText = (part: string) => {
    const element = open.at(-1)
    if (element !== undefined) element.text += part
  }
  parser.on('text', onText)
  parser.on('cdata', onText)
  parser.on('closetag', () => {
    const element = open.pop()
    if (element !== undefined) element.text = element.text.trim()
  })
  parser.write(text).close()
  const [element] = root.children
  if (element === undefined) throw invalid('no element')
  return element
}

/** The elements that a path of names leads to, below `element`. */
export function elementsAt(element: XmlElement | undefined, ...path: string[]): XmlElement[] {
  return path.reduce<XmlElement[]>(
    (found, name) => found.flatMap((parent) => parent.children.filter((child) => child.name === name)),
    element === undefined ? [] : [element],
  )
}

/** The first of them. */
export function elementAt(element: XmlElement | undefined, ...path: string[]): XmlElement | undefined {
  return elementsAt(element, ...path)[0]
}
