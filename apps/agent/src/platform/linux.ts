import { readFileSync } from 'node:fs'
import { arch, cpus, hostname, networkInterfaces, release, totalmem, uptime } from 'node:os'
import type { MachineFacts } from '@ringwall/contracts'

export type ReadText = (path: string) => string | undefined

const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Names that hypervisors put into DMI, and the word for each. */
const dmiHypervisors: [RegExp, string][] = [
  [/vmware/i, 'vmware'],
  [/microsoft corporation.*virtual machine/i, 'hyper-v'],
  [/xen|hvm domu/i, 'xen'],
  [/h3c|cas uis|cvm/i, 'h3c-cas'],
  [/huawei.*(kvm|fusion)/i, 'fusioncompute'],
  [/ovirt|rhev/i, 'ovirt'],
  [/qemu|kvm|bochs|seabios/i, 'kvm'],
  [/virtualbox|innotek/i, 'virtualbox'],
  [/parallels/i, 'parallels'],
]
const dmiClouds: [RegExp, string][] = [
  [/alibaba cloud/i, 'aliyun'],
  [/tencent/i, 'tencent'],
  [/huawei ?cloud/i, 'huaweicloud'],
  [/amazon ec2/i, 'aws'],
  [/google compute engine|\bgoogle\b/i, 'gcp'],
  [/openstack/i, 'openstack'],
]
/** The chassis asset tag of Azure machines, the same for all. */
const azureAssetTag = '7783-7084-3265-9085-8269-3286-77'

const wordIn = (text: string, table: [RegExp, string][]) => table.find(([pattern]) => pattern.test(text))?.[1]

type Place = Pick<MachineFacts, 'pool' | 'poolEvidence' | 'hypervisor' | 'cloudProvider' | 'dmi'>

/** Where a machine runs, from DMI, the hypervisor flag of the processor and what clouds leave in DMI or cloud-init. */
export function placeOf(read: ReadText): Place {
  const dmiText = (name: string) => read(`/sys/class/dmi/id/${name}`) ?? ''
  const dmi = {
    vendor: dmiText('sys_vendor').slice(0, 120),
    product: dmiText('product_name').slice(0, 120),
    uuid: dmiText('product_uuid').slice(0, 64).toLowerCase(),
  }
  const joined = [
    dmi.vendor,
    dmi.product,
    dmiText('bios_vendor'),
    dmiText('board_vendor'),
    dmiText('chassis_vendor'),
  ].join(' ')
  const cloudInit = /"?cloud[-_]name"?:\s*"?([\w-]+)/.exec(
    read('/run/cloud-init/instance-data.json') ?? '',
  )?.[1]
  const cloudProvider =
    wordIn(joined, dmiClouds) ??
    (dmiText('chassis_asset_tag') === azureAssetTag ? 'azure' : undefined) ??
    (cloudInit === 'none' || cloudInit === 'nocloud' ? undefined : cloudInit)
  const hasFlag = /^flags\s*:.*\bhypervisor\b/m.test(read('/proc/cpuinfo') ?? '')
  const byKernel = read('/sys/hypervisor/type')
  const hypervisor = wordIn(joined, dmiHypervisors) ?? byKernel ?? (hasFlag ? 'unknown' : undefined)
  const evidence = [
    ...(dmi.vendor || dmi.product ? [`dmi:${dmi.vendor} ${dmi.product}`.trim().slice(0, 120)] : []),
    ...(hasFlag ? ['cpuid:hypervisor'] : []),
    ...(byKernel ? [`xen:${byKernel}`.slice(0, 120)] : []),
    ...(cloudProvider ? [`cloud:${cloudProvider}`.slice(0, 120)] : []),
  ]
  return {
    pool: cloudProvider !== undefined ? 'cloud' : hypervisor !== undefined ? 'virtual' : 'physical',
    poolEvidence: evidence.length > 0 ? evidence : ['none'],
    hypervisor: hypervisor?.slice(0, 60) ?? null,
    cloudProvider: cloudProvider?.slice(0, 60) ?? null,
    dmi: dmi.vendor || dmi.product || dmi.uuid ? dmi : null,
  }
}

/** NAME=value lines of os-release(5). */
export function parseOsRelease(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const match = /^([A-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(.*))$/.exec(line.trim())
    if (match?.[1] !== undefined)
      values[match[1]] = (match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? match[4] ?? '').trim()
  }
  return values
}

/** What this Linux machine says of itself. */
export function readFacts(read: ReadText = readText): MachineFacts {
  const os = parseOsRelease(read('/etc/os-release') ?? read('/usr/lib/os-release') ?? '')
  const processors = cpus()
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? [])
      .filter(({ internal }) => !internal)
      .map(({ address, mac }) => ({ interface: name.slice(0, 60), address, mac })),
  )
  return {
    hostname: hostname().slice(0, 253),
    os: {
      family: 'linux',
      id: (os.ID ?? 'linux').slice(0, 60),
      name: (os.PRETTY_NAME ?? os.NAME ?? 'Linux').slice(0, 200),
      version: (os.VERSION_ID ?? '').slice(0, 100),
      kernel: release().slice(0, 200),
      architecture: arch(),
    },
    cpu: { model: (processors[0]?.model.trim() ?? '').slice(0, 200), count: processors.length },
    memoryBytes: totalmem(),
    addresses: addresses.slice(0, 256),
    ...placeOf(read),
    bootedAt: new Date(Math.round((Date.now() - uptime() * 1000) / 1000) * 1000).toISOString(),
  }
}

/** Which instance of a machine this is: what a copy of its disk does not copy. '' where nothing tells it. */
export function readInstanceId(read: ReadText = readText): string {
  const cloud = read('/run/cloud-init/.instance-id') ?? read('/var/lib/cloud/data/instance-id')
  const uuid = read('/sys/class/dmi/id/product_uuid')?.toLowerCase()
  const isReal = uuid !== undefined && !/^(0{8}|f{8}|03000200-0400)/.test(uuid)
  return (isReal ? uuid : (cloud ?? '')).slice(0, 200)
}

export function readBootId(): string {
  return (readText('/proc/sys/kernel/random/boot_id') ?? '').slice(0, 64)
}
