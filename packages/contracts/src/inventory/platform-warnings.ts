/** What a connector's check tells the operator though nothing failed: the catalog of codes with their texts. */
import { z } from 'zod'

const catalog = {
  hosts_hidden: {
    en: 'The account sees no hosts: give it the role {role} at the top of the inventory, for everything below it.',
    'zh-CN': '账号看不到任何主机：请在资源清单最上层授予 {role} 角色，并对其下所有对象生效。',
  },
  guests_hidden: {
    en: 'The account lacks {privilege}: it sees no guests.',
    'zh-CN': '账号缺少 {privilege} 权限：看不到任何虚拟机。',
  },
  guest_addresses_hidden: {
    en: 'The account lacks {privilege}: addresses of guests stay unknown.',
    'zh-CN': '账号缺少 {privilege} 权限：无法得知虚拟机的地址。',
  },
  clone_tasks_hidden: {
    en: 'The account lacks {privilege}: clone tasks of others stay unseen.',
    'zh-CN': '账号缺少 {privilege} 权限：看不到其他账号的克隆任务。',
  },
  events_hidden: {
    en: 'The account may not read events: full clones are not told from other machines.',
    'zh-CN': '账号无权读取事件：无法将完整克隆与其他虚拟机区分开。',
  },
  single_host: {
    en: 'This is a single {product} host: copies are told by linked disks only, and a machine that moves away is gone from here. Where there is a management server, add that instead.',
    'zh-CN':
      '这是单台 {product} 主机：只能通过链接磁盘识别克隆，迁走的虚拟机会从这里消失。如有统一的管理服务器，请改为添加该服务器。',
  },
} as const satisfies Record<string, { en: string; 'zh-CN': string }>

export type PlatformWarningCode = keyof typeof catalog
export const platformWarningCodes = Object.keys(catalog) as PlatformWarningCode[]

/** `code` is one of the catalog's; a newer center may know more of them than who shows it. */
export const platformWarningSchema = z.object({ code: z.string(), params: z.record(z.string(), z.string()) })
export type PlatformWarning = z.infer<typeof platformWarningSchema>

/** A warning in a language; a code that is not known here shows as it is. */
export function platformWarningText({ code, params }: PlatformWarning, language: 'zh-CN' | 'en'): string {
  const texts = Object.hasOwn(catalog, code) ? catalog[code as PlatformWarningCode] : undefined
  return texts?.[language].replace(/\{(\w+)\}/g, (whole, name: string) => params[name] ?? whole) ?? code
}
