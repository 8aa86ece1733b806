import { theme as antd, type ThemeConfig } from 'antd'

/** Our own look: jade for what is well, amber for what waits, cinnabar for what is bad; ink for the frame. */
export const palette = {
  jade: '#12806a',
  jadeBright: '#2fb894',
  amber: '#d08b1f',
  cinnabar: '#c8402f',
  slate: '#4d6a77',
  ink: '#0f2027',
} as const

export type ColorMode = 'light' | 'dark'

/** Ant Design's tokens for a color mode. */
export function themeFor(mode: ColorMode): ThemeConfig {
  const isDark = mode === 'dark'
  return {
    algorithm: isDark ? antd.darkAlgorithm : antd.defaultAlgorithm,
    cssVar: { key: `ringwall-${mode}` },
    token: {
      colorPrimary: isDark ? palette.jadeBright : palette.jade,
      colorLink: isDark ? palette.jadeBright : palette.jade,
      colorSuccess: isDark ? palette.jadeBright : palette.jade,
      colorWarning: palette.amber,
      colorError: isDark ? '#e2604f' : palette.cinnabar,
      colorInfo: isDark ? '#7fa3b3' : palette.slate,
      colorBgLayout: isDark ? '#0b1519' : '#f3f6f4',
      colorBgContainer: isDark ? '#12212a' : '#ffffff',
      colorBgElevated: isDark ? '#182a34' : '#ffffff',
      colorTextBase: isDark ? '#e4ecee' : '#15262d',
      borderRadius: 8,
      fontFamily:
        "'Inter', 'PingFang SC', 'Noto Sans CJK SC', 'Noto Sans SC', 'Microsoft YaHei', 'Segoe UI', system-ui, sans-serif",
      fontSize: 14,
      controlHeight: 34,
    },
    components: {
      Layout: { siderBg: palette.ink, headerBg: 'transparent', bodyBg: 'transparent' },
      Menu: {
        darkItemBg: palette.ink,
        darkItemSelectedBg: '#1d4a47',
        darkItemHoverBg: '#17333a',
        itemBorderRadius: 8,
        itemHeight: 34,
        itemMarginBlock: 2,
      },
      Table: { headerBg: 'transparent', headerSplitColor: 'transparent', cellPaddingBlock: 11 },
      Card: { headerFontSize: 15 },
      Statistic: { contentFontSize: 30 },
    },
  }
}
