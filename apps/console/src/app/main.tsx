import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { App, ConfigProvider } from 'antd'
import enUs from 'antd/locale/en_US'
import zhCn from 'antd/locale/zh_CN'
import dayjs from 'dayjs'
import 'dayjs/locale/zh-cn'
import relativeTime from 'dayjs/plugin/relativeTime'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { useTranslation } from 'react-i18next'
import { queryClient } from './api.ts'
import { startI18n } from './i18n.ts'
import { useColorMode } from './preferences.ts'
import { router } from './router.tsx'
import './global.css'
import { themeFor } from './theme.ts'

dayjs.extend(relativeTime)

function Root() {
  const mode = useColorMode()
  const { i18n } = useTranslation()
  const isChinese = i18n.language !== 'en'
  dayjs.locale(isChinese ? 'zh-cn' : 'en')
  useEffect(() => {
    document.documentElement.dataset.mode = mode
  }, [mode])
  return (
    <ConfigProvider theme={themeFor(mode)} locale={isChinese ? zhCn : enUs}>
      <App>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </App>
    </ConfigProvider>
  )
}

await startI18n()
const element = document.getElementById('root')
if (element !== null) {
  createRoot(element).render(
    <StrictMode>
      <Root />
    </StrictMode>,
  )
}
