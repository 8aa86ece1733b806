import { AppError, apiRoutes, type Platform, platformWarningText } from '@ringwall/contracts'
import { type Context, printPage } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { formatTime } from '../output.ts'
import { askCredentials, type ConnectionOptions, isAccepted, platformKindOf } from '../platform-connection.ts'
import { fill } from '../text/text.ts'

type ListOptions = { json?: boolean; limit: string; search?: string; unprotected?: boolean }

/** `ringwall platform list` */
export async function listPlatforms(context: Context, { json = false, limit }: ListOptions): Promise<number> {
  const page = await context.client()(apiRoutes.listPlatforms, { query: { limit: Number(limit) } })
  const { table } = context.text
  const headers = [
    table.name,
    table.kind,
    table.address,
    table.state,
    table.machines,
    table.protected,
    table.lastList,
    table.id,
  ]
  printPage(context, page, json, headers, (platform) => [
    platform.name,
    platform.kind,
    platform.address,
    platform.error === null ? platform.state : `${platform.state} (${platform.error.code})`,
    String(platform.counts.total),
    String(platform.counts.protected),
    formatTime(platform.lastListAt),
    platform.id,
  ])
  return exitCodes.ok
}

/** `ringwall assets`: those without an agent with --unprotected. */
export async function listAssets(
  context: Context,
  { json = false, limit, search, unprotected = false }: ListOptions,
): Promise<number> {
  const page = await context.client()(apiRoutes.listAssets, {
    query: { limit: Number(limit), search, ...(unprotected ? { isProtected: 'false' as const } : {}) },
  })
  const { table, platform: words } = context.text
  const headers = [
    table.name,
    table.kind,
    table.platform,
    table.host,
    table.power,
    table.os,
    table.protected,
    table.id,
  ]
  printPage(context, page, json, headers, (asset) => [
    asset.name,
    asset.kind,
    asset.platform.name,
    asset.host?.name ?? '-',
    asset.power,
    asset.guestOs ?? '-',
    asset.machine === null ? words.no : words.yes,
    asset.id,
  ])
  return exitCodes.ok
}

/** What the center needs to reach a platform; undefined while its fingerprint was not accepted. */
async function connectionOf(context: Context, options: ConnectionOptions) {
  const kind = platformKindOf(options.kind)
  const { address } = options
  const { fingerprint } = await context.client()(apiRoutes.probePlatform, { body: { kind, address } })
  if (!isAccepted(context, options, fingerprint)) return undefined
  return {
    kind,
    address,
    fingerprint: options.fingerprint ?? fingerprint,
    credentials: await askCredentials(context, options),
  }
}

/** `ringwall platform test`: the center signs in and looks. */
export async function testPlatform(
  context: Context,
  options: ConnectionOptions & { json?: boolean },
): Promise<number> {
  const body = await connectionOf(context, options)
  if (body === undefined) return exitCodes.usage
  const result = await context.client()(apiRoutes.testPlatform, { body })
  const { platform: words } = context.text
  if (options.json) context.print(JSON.stringify(result, null, 2))
  else {
    const { product, version, warnings } = result.identity
    context.print(fill(words.found, { product, version }))
    if (result.preview === null) context.print(words.noPreview)
    else {
      const { clusters, hosts, machines, templates } = result.preview
      context.print(fill(words.preview, { clusters, hosts, machines, templates }))
    }
    for (const warning of warnings) context.note(platformWarningText(warning, context.language))
  }
  return exitCodes.ok
}

/** `ringwall platform add` */
export async function addPlatform(
  context: Context,
  options: ConnectionOptions & { name: string; json?: boolean },
): Promise<number> {
  const connection = await connectionOf(context, options)
  if (connection === undefined) return exitCodes.usage
  const { platform } = await context.client()(apiRoutes.createPlatform, {
    body: { ...connection, name: options.name },
  })
  context.print(
    options.json
      ? JSON.stringify(platform, null, 2)
      : fill(context.text.platform.added, { name: platform.name }),
  )
  return exitCodes.ok
}

/** The platform of that name or id. Throws not_found. */
async function findPlatform(context: Context, name: string): Promise<Platform> {
  for (let cursor: string | undefined; ; ) {
    const page = await context.client()(apiRoutes.listPlatforms, {
      query: { limit: 500, ...(cursor ? { cursor } : {}) },
    })
    const found = page.items.find(
      (platform) => platform.id === name || platform.name.toLowerCase() === name.toLowerCase(),
    )
    if (found !== undefined) return found
    if (page.nextCursor === null) throw new AppError('not_found', { kind: 'platform', id: name })
    cursor = page.nextCursor
  }
}

/** `ringwall platform sync NAME` */
export async function syncPlatform(context: Context, name: string): Promise<number> {
  const { id } = await findPlatform(context, name)
  const { platform } = await context.client()(apiRoutes.syncPlatform, { params: { id } })
  context.print(fill(context.text.platform.syncing, { name: platform.name }))
  return exitCodes.ok
}
