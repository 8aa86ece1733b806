import { z } from 'zod'
import { countSchema } from '../common.ts'

export const poolSchema = z.enum(['physical', 'virtual', 'cloud'])
export type Pool = z.infer<typeof poolSchema>

/** What an agent can tell of its machine. */
export const machineFactsSchema = z.object({
  hostname: z.string().max(253),
  os: z.object({
    family: z.enum(['linux', 'windows']),
    id: z.string().max(60),
    name: z.string().max(200),
    version: z.string().max(100),
    kernel: z.string().max(200),
    architecture: z.string().max(40),
  }),
  cpu: z.object({ model: z.string().max(200), count: countSchema }),
  memoryBytes: countSchema,
  addresses: z
    .array(z.object({ interface: z.string().max(60), address: z.string().max(60), mac: z.string().max(20) }))
    .max(256),
  pool: poolSchema,
  /** What the pool was told from, e.g. `dmi:QEMU`, `cpuid:kvm`, `cloud:aliyun`, `none`. */
  poolEvidence: z.array(z.string().max(120)).max(16),
  hypervisor: z.string().max(60).nullable(),
  cloudProvider: z.string().max(60).nullable(),
  dmi: z
    .object({ vendor: z.string().max(120), product: z.string().max(120), uuid: z.string().max(64) })
    .nullable(),
  bootedAt: z.iso.datetime({ offset: true }),
})
export type MachineFacts = z.infer<typeof machineFactsSchema>
