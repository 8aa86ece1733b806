/** Names that look like those of a hospital or a factory in China, and say that they are a demonstration. */
import type { Random } from './random.ts'

type Pair = readonly [english: string, chinese: string]

const departments: readonly [Pair, ...Pair[]] = [
  ['finance', '财务'],
  ['hr', '人事'],
  ['clinic', '门诊'],
  ['mes', '制造执行'],
  ['mail', '邮件'],
  ['portal', '门户'],
  ['office', '协同办公'],
  ['imaging', '影像归档'],
  ['billing', '计费'],
  ['logistics', '物流'],
  ['crm', '客户管理'],
  ['archive', '档案'],
]
const roles: readonly [Pair, ...Pair[]] = [
  ['app', '应用'],
  ['db', '数据库'],
  ['web', '网站'],
  ['cache', '缓存'],
  ['mq', '消息队列'],
  ['files', '文件'],
  ['backup', '备份'],
  ['test', '测试'],
]
export const templateKinds = [
  ['debian-12', 'Debian 12', 'linux'],
  ['openeuler-22', 'openEuler 22.03', 'linux'],
  ['kylin-v10', '麒麟 V10', 'linux'],
  ['rocky-9', 'Rocky 9', 'linux'],
  ['windows-2019', 'Windows Server 2019', 'windows'],
  ['windows-2022', 'Windows Server 2022', 'windows'],
] as const
export const datastores = ['demo-ssd-1', 'demo-ssd-2', 'demo-hdd-1'] as const

/** A name of letters, digits and dashes, and what people call the machine: every other one in Chinese. */
export function nameOf(random: Random, index: number): { name: string; title: string } {
  const [department, departmentZh] = random.pick(departments)
  const [role, roleZh] = random.pick(roles)
  const number = String(index + 1).padStart(3, '0')
  const name = `demo-${department}-${role}-${number}`
  return { name, title: index % 2 === 0 ? `演示-${departmentZh}-${roleZh}-${number}` : name }
}
