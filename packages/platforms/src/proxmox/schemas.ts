/** The parts of Proxmox VE answers that are read. Booleans are 0 and 1, and what is unset is left out. */
import { z } from 'zod'

const flag = z
  .union([z.number(), z.string(), z.boolean()])
  .transform((value) => value === true || Number(value) === 1)

export const versionSchema = z.object({ version: z.string() })

export const statusSchema = z.array(
  z.looseObject({
    type: z.string(),
    name: z.string().optional(),
    ip: z.string().optional(),
    online: flag.optional(),
  }),
)

/** A row of `/cluster/resources`. Storage, network and pool rows pass through as they are. */
export const resourcesSchema = z.array(
  z.object({
    id: z.string(),
    type: z.string(),
    node: z.string().optional(),
    vmid: z.number().int().optional(),
    name: z.string().optional(),
    status: z.string().optional(),
    template: flag.optional(),
    lock: z.string().optional(),
    tags: z.string().optional(),
    maxmem: z.number().optional(),
    maxcpu: z.number().optional(),
    maxdisk: z.number().optional(),
    /** Seconds since the start; it falls when the guest was started anew. */
    uptime: z.number().optional(),
  }),
)
export type ResourceRow = z.infer<typeof resourcesSchema>[number]
export type GuestRow = ResourceRow & { node: string; vmid: number }

export const configSchema = z.record(z.string(), z.unknown())

export const agentInterfacesSchema = z.object({
  result: z.array(
    z.looseObject({
      'hardware-address': z.string().optional(),
      'ip-addresses': z.array(z.looseObject({ 'ip-address': z.string() })).optional(),
    }),
  ),
})

export const containerInterfacesSchema = z
  .array(
    z.looseObject({
      hwaddr: z.string().optional(),
      inet: z.string().optional(),
      inet6: z.string().optional(),
    }),
  )
  .nullable()

export const tasksSchema = z.array(
  z.object({
    upid: z.string(),
    type: z.string(),
    id: z.string().nullish(),
    starttime: z.number(),
    endtime: z.number().optional(),
    status: z.string().optional(),
  }),
)
export type TaskRow = z.infer<typeof tasksSchema>[number]

export const certificatesSchema = z.array(
  z.looseObject({ filename: z.string().optional(), fingerprint: z.string().optional() }),
)

/** Path to privileges, as `/access/permissions` tells them for the account itself. */
export const permissionsSchema = z.record(z.string(), z.record(z.string(), z.unknown()))
