import { z } from 'zod'
import { countSchema, idSchema, nameSchema, pageOf, pageQuerySchema, timestampSchema } from '../common.ts'
import { defineRoutes } from '../route.ts'
import { poolSchema } from './facts.ts'
import { platformKindSchema } from './platform-kinds.ts'
import { nodeCountsSchema, platformStateSchema } from './platforms.ts'

/** A platform, cluster or host as others mention it. */
export const nodeRefSchema = z.object({ id: idSchema, name: z.string() })
export type NodeRef = z.infer<typeof nodeRefSchema>

export const assetKindSchema = z.enum(['guest', 'template', 'physical', 'cloud'])
export const powerSchema = z.enum(['on', 'off', 'suspended', 'unknown'])
export const parentKindSchema = z.enum(['full', 'linked', 'deployed', 'unknown'])

/**
 * A machine as a platform or an import knows it. It is joined to the machine that an agent protects by evidence; until then it is
 * unprotected. One that a complete list no longer had is gone: hidden, its history kept.
 */
export const assetSchema = z.object({
  id: idSchema,
  platform: nodeRefSchema.extend({ kind: platformKindSchema }),
  /** The platform's own name for it. */
  ref: z.string(),
  kind: assetKindSchema,
  pool: poolSchema,
  name: z.string(),
  host: nodeRefSchema.nullable(),
  /** Set while a live migration is under way; `host` is the source until it ends. */
  migratingTo: nodeRefSchema.nullable(),
  cluster: nodeRefSchema.nullable(),
  power: powerSchema,
  uuid: z.string().nullable(),
  macs: z.array(z.string()),
  addresses: z.array(z.string()),
  guestOs: z.string().nullable(),
  /** Told from `guestOs`; null where nothing says it. */
  osFamily: z.enum(['linux', 'windows']).nullable(),
  datastores: z.array(z.string()),
  parent: z
    .object({
      assetId: idSchema.nullable(),
      name: z.string().nullable(),
      kind: parentKindSchema,
      evidence: z.string(),
    })
    .nullable(),
  labels: z.array(z.string()),
  firstSeenAt: timestampSchema,
  lastSeenAt: timestampSchema,
  goneAt: timestampSchema.nullable(),
  /** The machine whose agent protects it, and what says that they are one. */
  machine: z
    .object({
      id: idSchema,
      hostname: z.string(),
      protection: z.enum(['protected', 'degraded', 'unreachable']),
      evidence: z.string(),
    })
    .nullable(),
  openIssues: countSchema,
})
export type Asset = z.infer<typeof assetSchema>

/** On which host it was, from when to when. `to` is null while it is there. */
export const placementSchema = z.object({
  host: nodeRefSchema,
  from: timestampSchema,
  to: timestampSchema.nullable(),
  /** `migrated`: it ran on; `moved`: it did not run; `started`: it was nowhere before; `discovered`: first seen. */
  cause: z.enum(['discovered', 'migrated', 'moved', 'started']),
})
export type Placement = z.infer<typeof placementSchema>

/**
 * `duplicate_uuid`, `duplicate_mac`: several assets have one identity. `join_ambiguous`: several agents match one
 * asset; `join_several`: one agent matches several assets. In the last two nothing is joined.
 */
export const inventoryIssueSchema = z.object({
  id: idSchema,
  kind: z.enum(['duplicate_uuid', 'duplicate_mac', 'join_ambiguous', 'join_several']),
  state: z.enum(['open', 'dismissed', 'resolved']),
  /** The uuid, MAC or address that is not unique. */
  value: z.string(),
  assets: z.array(nodeRefSchema.extend({ platformName: z.string() })),
  machines: z.array(z.object({ id: idSchema, hostname: z.string() })),
  firstAt: timestampSchema,
  lastAt: timestampSchema,
  dismissedBy: z.string().nullable(),
})
export type InventoryIssue = z.infer<typeof inventoryIssueSchema>

export const assetDetailSchema = assetSchema.extend({
  /** Newest first, the last 100. */
  placements: z.array(placementSchema),
  /** Copies of it, the first 100 by name. */
  children: z.array(nodeRefSchema.extend({ kind: parentKindSchema, evidence: z.string() })),
  childCount: countSchema,
  issues: z.array(inventoryIssueSchema),
})
export type AssetDetail = z.infer<typeof assetDetailSchema>

export const assetFilterSchema = z.object({
  search: z.string().trim().max(200).optional(),
  platformId: idSchema.optional(),
  clusterId: idSchema.optional(),
  hostId: idSchema.optional(),
  /** `false`: those that no host is known of. */
  isPlaced: z.enum(['true', 'false']).optional(),
  kind: assetKindSchema.optional(),
  pool: poolSchema.optional(),
  power: powerSchema.optional(),
  osFamily: z.enum(['linux', 'windows']).optional(),
  label: nameSchema.optional(),
  /** `false` leaves templates out: nothing runs in them. */
  isProtected: z.enum(['true', 'false']).optional(),
  hasIssue: z.enum(['true', 'false']).optional(),
  /** Only those that are gone; without it only those that are not. */
  isGone: z.enum(['true', 'false']).optional(),
})

export const topologyHostSchema = nodeRefSchema.extend({
  clusterId: idSchema.nullable(),
  state: z.enum(['up', 'down', 'maintenance', 'unknown']),
  address: z.string().nullable(),
  version: z.string().nullable(),
  /** The machine whose agent protects the host itself. */
  machineId: idSchema.nullable(),
  machineEvidence: z.string().nullable(),
  counts: nodeCountsSchema,
})
export const topologyPlatformSchema = nodeRefSchema.extend({
  kind: platformKindSchema,
  state: platformStateSchema,
  labels: z.array(z.string()),
  counts: nodeCountsSchema,
  clusters: z.array(nodeRefSchema.extend({ counts: nodeCountsSchema })),
  hosts: z.array(topologyHostSchema),
  /** Of assets that no host is known of. */
  unplaced: nodeCountsSchema,
})
export type TopologyPlatform = z.infer<typeof topologyPlatformSchema>

export const poolSummarySchema = z.object({
  pool: poolSchema,
  counts: nodeCountsSchema,
  /** Machines with an agent that no platform knows. */
  agentOnly: countSchema,
  platforms: z.array(
    nodeRefSchema.extend({
      counts: nodeCountsSchema,
      clusters: z.array(nodeRefSchema.extend({ counts: nodeCountsSchema })),
    }),
  ),
})
export type PoolSummary = z.infer<typeof poolSummarySchema>

/** 10,000 lines of 400 characters. */
const maxCsvLength = 4_000_000
export const csvProblemSchema = z.object({
  /** As an editor counts, the header is line 1. */
  line: countSchema,
  column: z.string().nullable(),
  code: z.enum([
    'csv_not_valid',
    'column_missing',
    'column_unknown',
    'column_twice',
    'too_many_cells',
    'too_many_lines',
    'value_missing',
    'value_invalid',
    'value_too_long',
    'line_twice',
  ]),
  value: z.string(),
})
export type CsvProblem = z.infer<typeof csvProblemSchema>

const idParams = z.object({ id: idSchema })
const assetSorts = ['name', '-name', 'lastSeenAt', '-lastSeenAt', 'firstSeenAt', '-firstSeenAt'] as const
const assetIdsSchema = z.array(idSchema).min(1).max(1000)

export const assetRoutes = defineRoutes({
  getTopology: {
    operationId: 'getTopology',
    method: 'GET',
    path: '/topology',
    access: 'assets.read',
    summary: 'Platforms, clusters and hosts with counts; the machines of a node are read by listAssets',
    response: z.object({ platforms: z.array(topologyPlatformSchema) }),
  },
  listPools: {
    operationId: 'listPools',
    method: 'GET',
    path: '/pools',
    access: 'assets.read',
    summary: 'Physical, virtual and cloud resources by platform and cluster',
    response: z.object({ pools: z.array(poolSummarySchema) }),
  },
  listAssets: {
    operationId: 'listAssets',
    method: 'GET',
    path: '/assets',
    access: 'assets.read',
    summary: 'Machines as platforms and imports know them',
    query: pageQuerySchema.extend(assetFilterSchema.shape).extend({
      sort: z.enum(assetSorts).default('name'),
    }),
    response: pageOf(assetSchema),
    errors: ['invalid_cursor'],
  },
  exportAssets: {
    operationId: 'exportAssets',
    method: 'GET',
    path: '/assets/export',
    access: 'assets.read',
    summary: 'The same list as CSV (RFC 4180), whole',
    query: assetFilterSchema,
    response: z.object({ fileName: z.string(), csv: z.string() }),
  },
  importAssets: {
    operationId: 'importAssets',
    method: 'POST',
    path: '/assets/import',
    access: 'assets.write',
    summary: 'Create or update machines that no platform knows, all lines or none',
    body: z.strictObject({
      /** A platform of kind `import`; without it the one that is there, made when there is none. */
      platformId: idSchema.optional(),
      csv: z.string().min(1).max(maxCsvLength),
      isDryRun: z.boolean().default(false),
    }),
    maxBodyBytes: 16 * 1024 * 1024,
    response: z.object({
      lines: countSchema,
      created: countSchema,
      updated: countSchema,
      unchanged: countSchema,
      /** False after a dry run, and when there are problems: then nothing was written. */
      isApplied: z.boolean(),
      /** The first 200. */
      problems: z.array(csvProblemSchema),
      problemCount: countSchema,
      platformId: idSchema.nullable(),
    }),
    errors: ['not_found', 'state_conflict', 'body_too_large'],
    audit: 'asset.imported',
  },
  getAsset: {
    operationId: 'getAsset',
    method: 'GET',
    path: '/assets/{id}',
    access: 'assets.read',
    summary: 'One asset with its placement history, lineage and issues',
    params: idParams,
    response: z.object({ asset: assetDetailSchema }),
    errors: ['not_found'],
  },
  labelAssets: {
    operationId: 'labelAssets',
    method: 'POST',
    path: '/assets/labels',
    access: 'assets.write',
    summary: 'Add labels to, or take labels from, several assets',
    body: z.strictObject({
      assetIds: assetIdsSchema,
      add: z.array(nameSchema).max(50).default([]),
      remove: z.array(nameSchema).max(50).default([]),
    }),
    response: z.object({ changed: countSchema }),
    audit: 'asset.labelled',
  },
  listAssetLabels: {
    operationId: 'listAssetLabels',
    method: 'GET',
    path: '/assets/labels',
    access: 'assets.read',
    summary: 'Labels in use, the most used first',
    response: z.object({ labels: z.array(z.object({ label: z.string(), count: countSchema })) }),
  },
  listInventoryIssues: {
    operationId: 'listInventoryIssues',
    method: 'GET',
    path: '/inventory-issues',
    access: 'assets.read',
    summary: 'Duplicate identities and joins that are not clear',
    query: pageQuerySchema.extend({
      state: inventoryIssueSchema.shape.state.optional(),
      kind: inventoryIssueSchema.shape.kind.optional(),
    }),
    response: pageOf(inventoryIssueSchema),
    errors: ['invalid_cursor'],
  },
  dismissInventoryIssue: {
    operationId: 'dismissInventoryIssue',
    method: 'POST',
    path: '/inventory-issues/{id}/dismiss',
    access: 'assets.write',
    summary: 'Say that an issue is as it should be; it comes back when its members change',
    params: idParams,
    response: z.object({ issue: inventoryIssueSchema }),
    errors: ['not_found', 'state_conflict'],
    audit: 'inventory_issue.dismissed',
  },
})
