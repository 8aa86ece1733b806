/**
 * Takes out of recorded answers what tells who and where: names, addresses, MACs, uuids, free text, accounts and secrets. The same input
 * gives the same pseudonym within one capture, so that the structure stays: an id in a list is still the id in a path. Pseudonyms are keyed
 * with a random key that is thrown away, so that nobody finds the input by trying.
 */
import { createHmac } from 'node:crypto'
import { isIP, isIPv6 } from 'node:net'
import { escapeXml } from './xml.ts'

const secretField =
  /pass(?:word|phrase)|secret|token|ticket|cookie|authorization|credential|private|sshkey|csrf|^key$/i
const freeTextField =
  /^(?:description|comment|notes?|annotation|tags?|subject|organization|initiator|serial_number|serial|fullname)$/i
const accountField = /^(?:user|user_?name|ciuser|email|owner|creator)$/i
/** Words of the platform itself: a machine that is called `running` must not make a power state unreadable. */
const wordField =
  /^(?:status|state|type|power_?state|version|full_version|product|level|format|ostype|severity|code)$/i

const uuidPattern = /(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])/gi
/** MACs, and longer runs such as fingerprints of certificates. */
const byteRunPattern = /(?<![0-9a-f:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4,}[0-9a-f]{2}(?![0-9a-f:-])/gi
const ipv4Pattern = /(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])/g
const ipv6Pattern = /(?<![0-9a-z:.])[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*(?![0-9a-z:])/gi
const accountPattern = /[\w.+-]+@[\w.-]+/g
/** Shorter names would be found inside everything. */
const minNameLength = 2

export type Sanitiser = {
  /** A body: JSON and XML by their fields, everything else as text. What looks like either and cannot be read is dropped. */
  body: (text: string) => string
  /** A request line or other plain text. */
  text: (text: string) => string
}

export function createSanitiser(options: {
  key: Uint8Array
  /** Names of clusters, hosts, machines and storages, found wherever they stand. */
  names: Iterable<string>
  /** Parts of the credentials; cut out wherever they stand, also encoded. */
  secrets: Iterable<string>
  /** Fields whose value is a name. */
  nameFields: ReadonlySet<string>
  /** Names that tell nothing of the operator, such as the product's own. */
  keep: ReadonlySet<string>
}): Sanitiser {
  const { key, nameFields, keep } = options
  const digest = (label: string, input: string) =>
    createHmac('sha256', key).update(`${label}\0${input}`).digest('hex')
  const secrets = [...options.secrets].filter((secret) => secret.length > 0).flatMap(encodingsOf)
  const pseudonyms = new Map<string, string>()
  /** Lengths of the known names by their first token, the longest first. */
  const lengths = new Map<string, number[]>()
  for (const name of options.names) learn(name)

  /** A name by which hosts are reached keeps being one: only letters, digits and dashes. */
  function learn(name: string): string {
    const known = pseudonyms.get(name)
    if (known !== undefined) return known
    const pseudonym = `name-${digest('name', name).slice(0, 10)}`
    if (name.trim().length < minNameLength || isIP(name) !== 0 || /^\d+$/.test(name)) return pseudonym
    for (const spelling of new Set([name, encodeURIComponent(name)])) {
      pseudonyms.set(spelling, pseudonym)
      const first = tokensOf(spelling).next().value?.[0] ?? ''
      const others = lengths.get(first) ?? []
      if (!others.includes(spelling.length))
        lengths.set(
          first,
          [...others, spelling.length].sort((left, right) => right - left),
        )
    }
    return pseudonym
  }

  /** Names are found as whole words: `web-1` is not in `web-10`. */
  function withoutNames(text: string): string {
    let output = ''
    let copiedTo = 0
    for (const token of tokensOf(text)) {
      if (token.index < copiedTo) continue
      for (const length of lengths.get(token[0]) ?? []) {
        const found = text.slice(token.index, token.index + length)
        const pseudonym = pseudonyms.get(found)
        if (
          pseudonym === undefined ||
          /\w\w/.test(text.slice(token.index + length - 1, token.index + length + 1))
        )
          continue
        output += text.slice(copiedTo, token.index) + pseudonym
        copiedTo = token.index + length
        break
      }
    }
    return output + text.slice(copiedTo)
  }

  function hexLike(found: string, label: string): string {
    const source = digest(label, found.toLowerCase())
    let at = 0
    const isUpper = /[A-F]/.test(found)
    return found.replace(/[0-9a-f]/gi, () => {
      const digit = source[at % source.length] ?? '0'
      at += 1
      return isUpper ? digit.toUpperCase() : digit
    })
  }

  function mac(found: string): string {
    if (/^(?:00[:-])+00$/.test(found)) return found
    // Locally administered and for one receiver, so that it stays a MAC of a card.
    return `02${hexLike(found, 'mac').slice(2)}`
  }

  function address(found: string): string {
    if (isIP(found) === 0 || /^(?:0\.0\.0\.0|127\.|255\.)/.test(found) || found === '::' || found === '::1')
      return found
    const bytes = Buffer.from(digest('address', found.toLowerCase()), 'hex')
    if (!isIPv6(found)) return `198.${18 + ((bytes[0] ?? 0) & 1)}.${bytes[1]}.${bytes[2]}`
    return `2001:db8:${bytes.toString('hex', 0, 2)}:${bytes.toString('hex', 2, 4)}::${bytes.toString('hex', 4, 6)}`
  }

  function text(input: string): string {
    let output = input
    for (const secret of secrets) output = output.replaceAll(secret, '[secret]')
    return withoutNames(output)
      .replace(accountPattern, (found) => `user-${digest('user', found).slice(0, 8)}@demo`)
      .replace(uuidPattern, (found) => (/^[0-]+$/.test(found) ? found : hexLike(found, 'uuid')))
      .replace(byteRunPattern, mac)
      .replace(ipv4Pattern, address)
      .replace(ipv6Pattern, address)
  }

  function field(name: string, value: string): string {
    if (value.trim() === '' || keep.has(value)) return value
    if (secretField.test(name)) return '[secret]'
    if (freeTextField.test(name)) return '[text]'
    if (accountField.test(name)) return `user-${digest('user', value).slice(0, 8)}`
    if (nameFields.has(name) && isIP(value) === 0 && !/^\d+$/.test(value)) {
      const replaced = text(value)
      // An address or uuid that serves as a name is a pseudonym already.
      return replaced === value || pseudonyms.has(value) ? learn(value) : replaced
    }
    return wordField.test(name) ? value : text(value)
  }

  function json(value: unknown, name: string): unknown {
    if (typeof value === 'string') return field(name, value)
    if (typeof value === 'number' && secretField.test(name)) return 0
    if (Array.isArray(value)) return value.map((item) => json(item, name))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [text(key), json(item, key)]))
  }

  function body(input: string): string {
    const start = input.trimStart()[0]
    if (start !== '{' && start !== '[' && start !== '<') return text(input)
    const clean = start === '<' ? xmlFields(input, field, text) : jsonFields(input, json)
    return clean ?? `[unreadable, ${Buffer.byteLength(input)} bytes]`
  }

  return { body, text }
}

function jsonFields(input: string, walk: (value: unknown, name: string) => unknown): string | undefined {
  try {
    return JSON.stringify(walk(JSON.parse(input), ''))
  } catch {
    return undefined
  }
}

/**
 * The same document with every text and attribute given to `field` under the name of its element or attribute, and
 * what else is in a tag to `text` unless it is a word of letters only, as those of schemas are. Comments go.
 */
function xmlFields(
  input: string,
  field: (name: string, value: string) => string,
  text: (value: string) => string,
): string | undefined {
  const part = (of: string) => (/^[<>/]*[\p{L}:]+[<>/]*$/u.test(of) ? of : text(of))
  const open: string[] = []
  let output = ''
  for (const [token] of input.matchAll(
    /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<[^<>]*>|[^<]+|</g,
  )) {
    if (token.startsWith('<!--')) continue
    if (token.startsWith('<?')) output += text(token)
    else if (token.startsWith('<![CDATA[')) output += escapeXml(field(open.at(-1) ?? '', token.slice(9, -3)))
    else if (token.startsWith('</')) {
      if (open.pop() !== localName(token.slice(2))) return undefined
      output += part(token)
    } else if (token.startsWith('<')) {
      if (!/^<[\p{L}_]/u.test(token)) return undefined
      const name = localName(token.slice(1))
      output += token.replace(
        /([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')|[^\s=]+/g,
        (whole: string, key: string | undefined, double, single) => {
          if (key === undefined) return part(whole)
          const value = unescapeXml(double ?? single ?? '')
          return `${part(key)}="${escapeXml(/^xmlns/.test(key) ? value : field(localName(key), value))}"`
        },
      )
      if (!token.endsWith('/>')) open.push(name)
    } else output += escapeXml(field(open.at(-1) ?? '', unescapeXml(token)))
  }
  return open.length === 0 ? output : undefined
}

const localName = (text: string) => (/^[^\s/>]+/.exec(text)?.[0] ?? '').replace(/^.*:/, '')

function unescapeXml(text: string): string {
  const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  return text.replace(/&(?:(lt|gt|quot|apos|amp)|#(\d+)|#x([0-9a-f]+));/gi, (whole, name, decimal, hex) => {
    if (name !== undefined) return entities[name.toLowerCase()] ?? whole
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

/** Words of ASCII, and every other character alone: Chinese is written without spaces. */
const tokensOf = (text: string) => text.matchAll(/\w+|\W/gu)

function encodingsOf(secret: string): string[] {
  const form = new URLSearchParams({ v: secret }).toString().slice(2)
  return [secret, encodeURIComponent(secret), form, Buffer.from(secret).toString('base64')]
}
