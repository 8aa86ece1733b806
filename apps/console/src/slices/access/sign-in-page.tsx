import { accessRoutes } from '@ringwall/contracts'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { Alert, Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api } from '../../app/api.ts'
import { currentLanguage, setLanguage } from '../../app/i18n.ts'
import { acceptSession } from '../../app/session.ts'
import { errorToText } from '../../ui/error-text.ts'
import { SignInFrame } from './sign-in-frame.tsx'

type Credentials = { name: string; password: string }

export function SignInPage() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const { next }: { next?: string } = useSearch({ strict: false })
  const [error, setError] = useState<unknown>()
  const [isBusy, setIsBusy] = useState(false)
  const signIn = async (credentials: Credentials) => {
    setIsBusy(true)
    setError(undefined)
    try {
      const session = await api(accessRoutes.signIn, { body: credentials })
      acceptSession(session)
      if (session.user.language !== null && session.user.language !== currentLanguage())
        await setLanguage(session.user.language)
      // Only a path of this console: a link must not send a fresh session elsewhere.
      const target = next?.startsWith('/') && !next.startsWith('//') ? next : '/'
      await navigate({ to: session.user.mustChangePassword ? '/password' : target })
    } catch (failure) {
      setError(failure)
    } finally {
      setIsBusy(false)
    }
  }
  return (
    <SignInFrame title={t('signIn.title')}>
      <Form<Credentials> layout="vertical" requiredMark={false} onFinish={(values) => void signIn(values)}>
        {error !== undefined && (
          <Alert type="error" showIcon title={errorToText(error)} style={{ marginBottom: 18 }} />
        )}
        <Form.Item
          label={t('signIn.name')}
          name="name"
          rules={[{ required: true, message: t('common.required') }]}
        >
          <Input size="large" autoComplete="username" autoFocus />
        </Form.Item>
        <Form.Item
          label={t('signIn.password')}
          name="password"
          rules={[{ required: true, message: t('common.required') }]}
        >
          <Input.Password size="large" autoComplete="current-password" />
        </Form.Item>
        <Button block size="large" type="primary" htmlType="submit" loading={isBusy}>
          {t('signIn.submit')}
        </Button>
      </Form>
    </SignInFrame>
  )
}
