import { createApiClient } from '@ringwall/contracts'
import { expect, it } from 'vitest'
import { textsFor } from '../text/text.ts'
import { testPlatform } from './platforms.ts'

const identity = {
  product: 'Proxmox VE',
  version: '9.1.5',
  instanceId: null,
  warnings: [{ code: 'guests_hidden', params: { privilege: 'VM.Audit' } }],
}

it.each([
  ['en', 'The account lacks VM.Audit: it sees no guests.'],
  ['zh-CN', '账号缺少 VM.Audit 权限：看不到任何虚拟机。'],
] as const)(
  'tells warnings of a platform in %s, apart from what a script reads',
  async (language, warning) => {
    const printed: string[] = []
    const noted: string[] = []
    const answer = (url: string) =>
      url.endsWith('/probe') ? { fingerprint: null } : { identity, preview: null }
    const client = createApiClient(
      async ({ url }) => ({ status: 200, text: JSON.stringify(answer(url)) }),
      () => ({}),
    )
    const context = {
      home: '',
      language,
      text: textsFor(language),
      client: () => client,
      live: () => ({ isOpen: () => false }),
      print: (line: string) => void printed.push(line),
      note: (line: string) => void noted.push(line),
    }
    expect(await testPlatform(context, { kind: 'libvirt', address: 'unix:///run/libvirt' })).toBe(0)
    expect(noted).toEqual([warning])
    expect(printed[0]).toContain('Proxmox VE 9.1.5')
  },
)
