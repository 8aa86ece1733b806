import { childOf, childrenOf, escapeXml, textOf, type XmlElement } from '../xml.ts'
import type { Session } from './session.ts'
import { type ManagedObject, refXml, SoapFault, toRef } from './soap.ts'

/** Property paths to read, by type of managed object. */
export type PropertyPaths = Readonly<Record<string, readonly string[]>>

/** What became of some properties of one object. A value that is undefined means that the property is unset. */
export type ObjectUpdate = {
  kind: 'enter' | 'modify' | 'leave'
  object: ManagedObject
  changes: { path: string; value: XmlElement | undefined }[]
}

export type UpdateStream = {
  /** Everything of the types that the stream follows, below the root folder. */
  view: ManagedObject
  /**
   * One long poll. The first answers at once with every object as `enter`; the following ones wait for a change, for at
   * most `maxWaitSeconds`. `hasMore`: the server cut the answer, ask again at once.
   * Errors: those of `Session`; a lost session ends the stream (`isLost`).
   */
  wait: (options: {
    maxWaitSeconds: number
    signal: AbortSignal
    onUpdate: (update: ObjectUpdate) => void
  }) => Promise<{ hasMore: boolean }>
  /** Ends a wait under way and removes everything from the server; never throws. */
  destroy: () => Promise<void>
}

/** A vCenter cuts by its own measure as well; this keeps a single answer small. */
const maxObjectsPerAnswer = 500
/** What an answer may take after the server's own waiting is over. */
const answerMs = 120_000

/**
 * A stream of changes with a collector and a view of its own: several on one session do not take each other's updates
 * (vSphere Web Services SDK, PropertyCollector.WaitForUpdatesEx).
 */
export async function openUpdateStream(
  session: Session,
  paths: PropertyPaths,
  signal: AbortSignal,
): Promise<UpdateStream> {
  const { propertyCollector, viewManager, rootFolder } = await session.content(signal)
  const created: { method: string; on: ManagedObject }[] = []
  const create = async (call: { method: string; on: ManagedObject; body?: string }, destroy: string) => {
    const on = returned(await session.call({ ...call, signal }), session, call.method)
    created.unshift({ method: destroy, on })
    return on
  }
  try {
    const view = await create(
      {
        method: 'CreateContainerView',
        on: viewManager,
        body:
          refXml('container', rootFolder) +
          Object.keys(paths)
            .map((type) => `<type>${type}</type>`)
            .join('') +
          '<recursive>true</recursive>',
      },
      'DestroyView',
    )
    const collector = await create(
      { method: 'CreatePropertyCollector', on: propertyCollector },
      'DestroyPropertyCollector',
    )
    await session.callBound({
      method: 'CreateFilter',
      on: collector,
      // Without partial updates a change carries the whole property, never a piece such as `config.hardware.device[4000]`.
      body: `<spec>${filterSpec(view, paths)}</spec><partialUpdates>false</partialUpdates>`,
      signal,
    })
    let version = ''
    return {
      view,
      destroy: () => session.cleanUp([{ method: 'CancelWaitForUpdates', on: collector }, ...created]),
      wait: async ({ maxWaitSeconds, signal, onUpdate }) => {
        const answer = await session.callBound({
          method: 'WaitForUpdatesEx',
          on: collector,
          body:
            `<version>${escapeXml(version)}</version><options><maxWaitSeconds>${maxWaitSeconds}</maxWaitSeconds>` +
            `<maxObjectUpdates>${maxObjectsPerAnswer}</maxObjectUpdates></options>`,
          signal,
          timeoutMs: maxWaitSeconds * 1000 + answerMs,
          handOut: 'objectSet',
          onElement: (element) => onUpdate(toUpdate(element)),
        })
        // Nothing at all, or no version: nothing happened.
        version = textOf(answer, 'returnval', 'version') ?? version
        return { hasMore: textOf(answer, 'returnval', 'truncated') === 'true' }
      },
    }
  } catch (error) {
    await session.cleanUp(created)
    throw error
  }
}

/** Reads properties of all objects of a view, now, page after page. Complete, or it throws. */
export async function retrieveProperties(options: {
  session: Session
  view: ManagedObject
  paths: PropertyPaths
  signal: AbortSignal
  onUpdate: (update: ObjectUpdate) => void
}): Promise<void> {
  const { session, view, paths, signal, onUpdate } = options
  const { propertyCollector } = await session.content(signal)
  const read = async (method: string, body: string) => {
    const answer = await session.callBound({
      method,
      on: propertyCollector,
      body,
      signal,
      handOut: 'objects',
      onElement: (element) => onUpdate(toRetrieved(element)),
    })
    return textOf(answer, 'returnval', 'token')
  }
  let token = await read(
    'RetrievePropertiesEx',
    `<specSet>${filterSpec(view, paths)}</specSet><options><maxObjects>${maxObjectsPerAnswer}</maxObjects></options>`,
  )
  while (token !== null)
    token = await read('ContinueRetrievePropertiesEx', `<token>${escapeXml(token)}</token>`)
}

/** The managed object that a call made. */
export function returned(answer: XmlElement, session: { address: string }, request: string): ManagedObject {
  const ref = toRef(childOf(answer, 'returnval'))
  if (ref !== undefined) return ref
  throw new SoapFault('', { address: session.address, request, reason: 'no reference' })
}

function filterSpec(view: ManagedObject, paths: PropertyPaths): string {
  const propSets = Object.entries(paths).map(
    ([type, names]) =>
      `<propSet><type>${type}</type>${names.map((name) => `<pathSet>${name}</pathSet>`).join('')}</propSet>`,
  )
  return (
    `${propSets.join('')}<objectSet>${refXml('obj', view)}<skip>true</skip>` +
    '<selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path>' +
    '<skip>false</skip></selectSet></objectSet>'
  )
}

/** An `ObjectUpdate`: `changeSet` items without `val`, and removals of any kind, leave the property unset. */
export function toUpdate(element: XmlElement): ObjectUpdate {
  const kind = textOf(element, 'kind')
  const object = toRef(childOf(element, 'obj'))
  if (object === undefined || (kind !== 'enter' && kind !== 'modify' && kind !== 'leave'))
    throw new Error(`an objectSet of kind ${kind}`)
  return {
    kind,
    object,
    changes: childrenOf(element, 'changeSet').map((change) => ({
      path: textOf(change, 'name') ?? '',
      value: textOf(change, 'op') === 'assign' ? childOf(change, 'val') : undefined,
    })),
  }
}

/** An `ObjectContent`, said as the change of the properties that it has. */
function toRetrieved(element: XmlElement): ObjectUpdate {
  const object = toRef(childOf(element, 'obj'))
  if (object === undefined) throw new Error('an object without its reference')
  return {
    kind: 'modify',
    object,
    changes: childrenOf(element, 'propSet').map((property) => ({
      path: textOf(property, 'name') ?? '',
      value: childOf(property, 'val'),
    })),
  }
}
