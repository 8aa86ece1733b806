import { type ApiToken, type Role, roles, type User } from '@ringwall/contracts'
import { createLazyRoute } from '@tanstack/react-router'
import {
  Alert,
  Button,
  Form,
  Input,
  InputNumber,
  Modal,
  Popconfirm,
  Select,
  Switch,
  type TableColumnsType,
  Tag,
} from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { Page } from '../../ui/page.tsx'
import { EmptyState } from '../../ui/states.tsx'
import { CopyLine, TimeText } from '../../ui/texts.tsx'

type Shown = { title: string; text: string }

function useRoleOptions() {
  const { t } = useTranslation()
  return roles.map((role) => ({ value: role, label: t(`role.${role}`) }))
}

/** A secret that is shown once: it is gone when the dialog closes. */
function ShownOnce({ shown, onClose }: { shown: Shown | undefined; onClose: () => void }) {
  const { t } = useTranslation()
  return (
    <Modal
      open={shown !== undefined}
      title={shown?.title}
      onCancel={onClose}
      footer={
        <Button type="primary" onClick={onClose}>
          {t('common.done')}
        </Button>
      }
    >
      <Alert type="warning" showIcon title={t('users.shownOnce')} />
      <CopyLine text={shown?.text ?? ''} />
    </Modal>
  )
}

function NewUser({
  isOpen,
  onClose,
  onCreated,
}: {
  isOpen: boolean
  onClose: () => void
  onCreated: (shown: Shown) => void
}) {
  const { t } = useTranslation()
  const [form] = Form.useForm<{ name: string; role: Role }>()
  const create = useApiWrite('createUser', ['listUsers'], ({ user, oneTimePassword }) => {
    onClose()
    onCreated({ title: t('users.passwordFor', { name: user.name }), text: oneTimePassword })
  })
  return (
    <Modal
      open={isOpen}
      title={t('users.new')}
      okText={t('users.create')}
      confirmLoading={create.isPending}
      onOk={() => form.submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ role: 'operator' }}
        onFinish={(body) => create.mutate({ body })}
      >
        <Form.Item
          name="name"
          label={t('users.name')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input autoFocus />
        </Form.Item>
        <Form.Item name="role" label={t('users.role')}>
          <Select options={useRoleOptions()} />
        </Form.Item>
      </Form>
    </Modal>
  )
}

function NewToken({
  isOpen,
  onClose,
  onCreated,
}: {
  isOpen: boolean
  onClose: () => void
  onCreated: (shown: Shown) => void
}) {
  const { t } = useTranslation()
  const [form] = Form.useForm<{ name: string; role: Role; expiresInDays: number | null }>()
  const create = useApiWrite('createApiToken', ['listApiTokens'], ({ apiToken, token }) => {
    onClose()
    onCreated({ title: apiToken.name, text: token })
  })
  return (
    <Modal
      open={isOpen}
      title={t('users.newToken')}
      okText={t('users.create')}
      confirmLoading={create.isPending}
      onOk={() => form.submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ role: 'viewer', expiresInDays: 90 }}
        onFinish={(body) => create.mutate({ body })}
      >
        <Form.Item
          name="name"
          label={t('users.tokenName')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input autoFocus />
        </Form.Item>
        <Form.Item name="role" label={t('users.role')}>
          <Select options={useRoleOptions()} />
        </Form.Item>
        <Form.Item name="expiresInDays" label={t('users.expiresInDays')}>
          <InputNumber min={1} max={3650} />
        </Form.Item>
      </Form>
    </Modal>
  )
}

function UsersTable({ onShow }: { onShow: (shown: Shown) => void }) {
  const { t } = useTranslation()
  const canWrite = useMay()('users.write')
  const update = useApiWrite('updateUser', ['listUsers'])
  const roleOptions = useRoleOptions()
  const reset = useApiWrite('resetPassword', ['listUsers'], ({ user, oneTimePassword }) =>
    onShow({ title: t('users.passwordFor', { name: user.name }), text: oneTimePassword }),
  )
  const columns: TableColumnsType<User> = [
    { title: t('users.name'), key: 'name', render: (_, user) => <strong>{user.name}</strong> },
    {
      title: t('users.role'),
      key: 'role',
      render: (_, user) =>
        canWrite ? (
          <Select
            size="small"
            style={{ width: 140 }}
            aria-label={t('users.role')}
            value={user.role}
            options={roleOptions}
            onChange={(role) => update.mutate({ params: { id: user.id }, body: { role } })}
          />
        ) : (
          t(`role.${user.role}`)
        ),
    },
    {
      title: t('users.active'),
      key: 'active',
      render: (_, user) => (
        <Switch
          size="small"
          disabled={!canWrite}
          aria-label={t('users.active')}
          checked={user.isActive}
          onChange={(isActive) => update.mutate({ params: { id: user.id }, body: { isActive } })}
        />
      ),
    },
    {
      title: t('users.passwordState'),
      key: 'password',
      render: (_, user) => user.mustChangePassword && <Tag color="warning">{t('users.mustChange')}</Tag>,
    },
    { title: t('users.lastSignIn'), key: 'last', render: (_, user) => <TimeText at={user.lastSignInAt} /> },
    {
      title: '',
      key: 'actions',
      render: (_, user) =>
        canWrite && (
          <Popconfirm
            title={t('users.resetTitle', { name: user.name })}
            onConfirm={() => reset.mutate({ params: { id: user.id } })}
          >
            <Button size="small">{t('users.reset')}</Button>
          </Popconfirm>
        ),
    },
  ]
  return (
    <CursorTable<User>
      list="listUsers"
      label={t('menu.users')}
      columns={columns}
      rowKey={(user) => user.id}
      empty={<EmptyState text={t('users.empty')} />}
    />
  )
}

function TokensTable() {
  const { t } = useTranslation()
  const canWrite = useMay()('users.write')
  const revoke = useApiWrite('revokeApiToken', ['listApiTokens'])
  const columns: TableColumnsType<ApiToken> = [
    { title: t('users.tokenName'), key: 'name', render: (_, token) => <strong>{token.name}</strong> },
    { title: t('users.role'), key: 'role', render: (_, token) => t(`role.${token.role}`) },
    { title: t('common.by'), dataIndex: 'userName' },
    { title: t('users.lastUsed'), key: 'used', render: (_, token) => <TimeText at={token.lastUsedAt} /> },
    { title: t('enrol.expiresAt'), key: 'expires', render: (_, token) => <TimeText at={token.expiresAt} /> },
    {
      title: '',
      key: 'actions',
      render: (_, token) =>
        token.revokedAt !== null ? (
          <Tag>{t('enrol.states.revoked')}</Tag>
        ) : (
          canWrite && (
            <Popconfirm
              title={t('users.revokeTitle', { name: token.name })}
              onConfirm={() => revoke.mutate({ params: { id: token.id } })}
            >
              <Button size="small">{t('enrol.revoke')}</Button>
            </Popconfirm>
          )
        ),
    },
  ]
  return (
    <CursorTable<ApiToken>
      list="listApiTokens"
      label={t('users.tokens')}
      columns={columns}
      rowKey={(token) => token.id}
      empty={<EmptyState text={t('users.noTokens')} />}
    />
  )
}

function UsersPage() {
  const { t } = useTranslation()
  const canWrite = useMay()('users.write')
  const [dialog, setDialog] = useState<'user' | 'token'>()
  const [shown, setShown] = useState<Shown>()
  return (
    <Page
      title={t('menu.users')}
      lead={t('users.lead')}
      actions={
        canWrite && (
          <>
            <Button onClick={() => setDialog('token')}>{t('users.newToken')}</Button>
            <Button type="primary" onClick={() => setDialog('user')}>
              {t('users.new')}
            </Button>
          </>
        )
      }
    >
      <UsersTable onShow={setShown} />
      <h2 style={{ fontSize: 16, marginTop: 24 }}>{t('users.tokens')}</h2>
      <TokensTable />
      <NewUser isOpen={dialog === 'user'} onClose={() => setDialog(undefined)} onCreated={setShown} />
      <NewToken isOpen={dialog === 'token'} onClose={() => setDialog(undefined)} onCreated={setShown} />
      <ShownOnce shown={shown} onClose={() => setShown(undefined)} />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/users')({ component: UsersPage })
