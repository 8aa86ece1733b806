import { z } from 'zod'

/** Platforms that have, or will have, a connector. `import` is the operator's own list for what no platform knows. */
export const platformKinds = [
  'vsphere',
  'hyperv',
  'h3c-cas',
  'fusioncompute',
  'xenserver',
  'ovirt',
  'libvirt',
  'proxmox',
  'openstack',
  'import',
] as const
export const platformKindSchema = z.enum(platformKinds)
export type PlatformKind = z.infer<typeof platformKindSchema>

/** How a connector signs in. Read only inside the center; stored sealed; never answered by any route. */
export const platformCredentialsSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('password'),
    username: z.string().trim().min(1).max(200),
    password: z.string().min(1).max(500),
  }),
  /** Proxmox: `user@realm!name` and its secret. */
  z.strictObject({
    kind: z.literal('token'),
    tokenId: z.string().trim().min(1).max(200),
    secret: z.string().min(1).max(2000),
  }),
  z.strictObject({
    kind: z.literal('ssh-key'),
    username: z.string().trim().min(1).max(200),
    privateKeyPem: z.string().min(1).max(20_000),
    passphrase: z.string().max(500).optional(),
  }),
  /** A Unix socket of this machine. */
  z.strictObject({ kind: z.literal('none') }),
])
export type PlatformCredentials = z.infer<typeof platformCredentialsSchema>

export const platformCapabilitiesSchema = z.object({
  /** `push`: the platform tells changes by itself; `poll`: it is asked every few seconds. */
  changes: z.enum(['push', 'poll']),
  /** What the platform itself knows of where a copy came from. */
  lineage: z.enum(['native', 'derived', 'none']),
  templates: z.boolean(),
  guestAddresses: z.boolean(),
  credentialKinds: z.array(z.enum(['password', 'token', 'ssh-key', 'none'])).min(1),
  /** How far the connector was checked, said as it is. */
  verified: z.enum(['real-peer', 'recording', 'documented-interface']),
  addressExample: z.string().max(200),
})
export type PlatformCapabilities = z.infer<typeof platformCapabilitiesSchema>
