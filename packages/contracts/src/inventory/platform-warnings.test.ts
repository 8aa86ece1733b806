import { describe, expect, it } from 'vitest'
import { platformWarningCodes, platformWarningText } from './platform-warnings.ts'

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort()

describe('warnings of platforms', () => {
  it.each(platformWarningCodes)('says %s in both languages with the same params', (code) => {
    const english = platformWarningText({ code, params: {} }, 'en')
    const chinese = platformWarningText({ code, params: {} }, 'zh-CN')
    expect(english).not.toBe(code)
    expect(chinese).toMatch(/\p{Script=Han}/u)
    expect(placeholders(chinese)).toEqual(placeholders(english))
  })

  it('fills in params, and shows a code of a newer center as it is', () => {
    expect(platformWarningText({ code: 'guests_hidden', params: { privilege: 'VM.Audit' } }, 'zh-CN')).toBe(
      '账号缺少 VM.Audit 权限：看不到任何虚拟机。',
    )
    expect(platformWarningText({ code: 'toString', params: {} }, 'en')).toBe('toString')
  })
})
