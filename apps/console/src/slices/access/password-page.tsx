import { accessRoutes } from '@ringwall/contracts'
import { useNavigate } from '@tanstack/react-router'
import { Alert, Button, Form, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api } from '../../app/api.ts'
import { acceptSession, useSession } from '../../app/session.ts'
import { errorToText } from '../../ui/error-text.ts'
import { SignInFrame } from './sign-in-frame.tsx'

type Passwords = { currentPassword: string; newPassword: string; repeated: string }

/** The first own password after a one-time one, and any later change. */
export function PasswordPage() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const session = useSession()
  const [error, setError] = useState<unknown>()
  const [isBusy, setIsBusy] = useState(false)
  const isFirst = session.data?.user.mustChangePassword === true
  const change = async ({ currentPassword, newPassword }: Passwords) => {
    setIsBusy(true)
    setError(undefined)
    try {
      acceptSession(await api(accessRoutes.changePassword, { body: { currentPassword, newPassword } }))
      await navigate({ to: '/' })
    } catch (failure) {
      setError(failure)
    } finally {
      setIsBusy(false)
    }
  }
  const required = { required: true, message: t('common.required') }
  return (
    <SignInFrame title={t('password.title')} lead={t(isFirst ? 'password.first' : 'password.lead')}>
      <Form<Passwords> layout="vertical" requiredMark={false} onFinish={(values) => void change(values)}>
        {error !== undefined && (
          <Alert type="error" showIcon title={errorToText(error)} style={{ marginBottom: 18 }} />
        )}
        <Form.Item
          label={t(isFirst ? 'password.oneTime' : 'password.current')}
          name="currentPassword"
          rules={[required]}
        >
          <Input.Password size="large" autoComplete="current-password" autoFocus />
        </Form.Item>
        <Form.Item
          label={t('password.new')}
          name="newPassword"
          extra={t('password.rule')}
          rules={[required, { min: 10, message: t('password.rule') }]}
        >
          <Input.Password size="large" autoComplete="new-password" />
        </Form.Item>
        <Form.Item
          label={t('password.repeat')}
          name="repeated"
          dependencies={['newPassword']}
          rules={[
            required,
            ({ getFieldValue }) => ({
              validator: (_, value) =>
                value === getFieldValue('newPassword')
                  ? Promise.resolve()
                  : Promise.reject(new Error(t('password.differs'))),
            }),
          ]}
        >
          <Input.Password size="large" autoComplete="new-password" />
        </Form.Item>
        <Button block size="large" type="primary" htmlType="submit" loading={isBusy}>
          {t('password.submit')}
        </Button>
      </Form>
    </SignInFrame>
  )
}
