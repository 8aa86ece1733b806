import { en, type Texts } from './en.ts'
import { zhCn } from './zh-cn.ts'

export type Language = 'zh-CN' | 'en'

/** The language of the terminal, by the usual order of the locale variables. */
export function terminalLanguage(environment: NodeJS.ProcessEnv): Language {
  const locale = environment.LC_ALL || environment.LC_MESSAGES || environment.LANG || ''
  return locale.startsWith('zh') ? 'zh-CN' : 'en'
}

export function textsFor(language: Language): Texts {
  return language === 'zh-CN' ? zhCn : en
}

/** Fills `{name}` in a text. */
export function fill(text: string, params: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole))
}
