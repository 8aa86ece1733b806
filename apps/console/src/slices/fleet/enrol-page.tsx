import type { EnrolToken } from '@ringwall/contracts'
import { createLazyRoute } from '@tanstack/react-router'
import {
  Alert,
  Button,
  Card,
  Form,
  Input,
  InputNumber,
  Popconfirm,
  Radio,
  type TableColumnsType,
  Tag,
} from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { CursorTable } from '../../ui/cursor-table.tsx'
import { Page } from '../../ui/page.tsx'
import { EmptyState, Loaded } from '../../ui/states.tsx'
import { CopyLine, MonoText, TimeText } from '../../ui/texts.tsx'

type Values = { name: string; role: 'agent' | 'scanner'; maxUses: number; expiresInHours: number }

function NewToken() {
  const { t } = useTranslation()
  const [command, setCommand] = useState<string>()
  const create = useApiWrite('createEnrolToken', ['listEnrolTokens'], (response) =>
    setCommand(response.command),
  )
  return (
    <Card title={t('enrol.new')}>
      <Form<Values>
        layout="vertical"
        requiredMark={false}
        initialValues={{ role: 'agent', maxUses: 1, expiresInHours: 24, name: '' }}
        onFinish={(body) => create.mutate({ body })}
      >
        <Form.Item
          label={t('enrol.name')}
          name="name"
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input placeholder={t('enrol.namePlaceholder')} />
        </Form.Item>
        <Form.Item label={t('enrol.role')} name="role">
          <Radio.Group
            options={[
              { value: 'agent', label: t('enrol.roles.agent') },
              { value: 'scanner', label: t('enrol.roles.scanner') },
            ]}
          />
        </Form.Item>
        <div style={{ display: 'flex', gap: 16 }}>
          <Form.Item label={t('enrol.maxUses')} name="maxUses">
            <InputNumber min={1} max={100_000} />
          </Form.Item>
          <Form.Item label={t('enrol.expiresInHours')} name="expiresInHours">
            <InputNumber min={1} max={8760} />
          </Form.Item>
        </div>
        <Button type="primary" htmlType="submit" loading={create.isPending}>
          {t('enrol.create')}
        </Button>
      </Form>
      {command !== undefined && (
        <div style={{ marginTop: 18 }}>
          <Alert type="success" showIcon title={t('enrol.ready')} description={t('enrol.once')} />
          <CopyLine text={command} />
        </div>
      )}
    </Card>
  )
}

function CenterAddress() {
  const { t } = useTranslation()
  const query = useApi('getEnrolmentInfo', {})
  return (
    <Card title={t('enrol.center')}>
      <Loaded query={query}>
        {({ gatewayAddress, caHash }) => (
          <>
            <p className="muted">{t('enrol.gateway')}</p>
            <MonoText text={gatewayAddress} />
            <p className="muted">{t('enrol.caHash')}</p>
            <MonoText text={caHash} />
            <p className="muted" style={{ marginTop: 18 }}>
              {t('enrol.how')}
            </p>
          </>
        )}
      </Loaded>
    </Card>
  )
}

const stateColor: Record<EnrolToken['state'], string> = {
  valid: 'success',
  expired: 'default',
  exhausted: 'default',
  revoked: 'error',
}

function EnrolPage() {
  const { t } = useTranslation()
  const revoke = useApiWrite('revokeEnrolToken', ['listEnrolTokens'])
  const columns: TableColumnsType<EnrolToken> = [
    { title: t('enrol.name'), dataIndex: 'name' },
    { title: t('enrol.role'), key: 'role', render: (_, token) => t(`enrol.roles.${token.role}`) },
    {
      title: t('enrol.uses'),
      key: 'uses',
      render: (_, token) => <span className="number">{`${token.uses} / ${token.maxUses}`}</span>,
    },
    {
      title: t('enrol.state'),
      key: 'state',
      render: (_, token) => <Tag color={stateColor[token.state]}>{t(`enrol.states.${token.state}`)}</Tag>,
    },
    { title: t('enrol.expiresAt'), key: 'expires', render: (_, token) => <TimeText at={token.expiresAt} /> },
    { title: t('common.by'), dataIndex: 'createdBy' },
    {
      title: '',
      key: 'actions',
      render: (_, token) =>
        token.state === 'valid' && (
          <Popconfirm
            title={t('enrol.revokeTitle')}
            onConfirm={() => revoke.mutate({ params: { id: token.id } })}
          >
            <Button size="small">{t('enrol.revoke')}</Button>
          </Popconfirm>
        ),
    },
  ]
  return (
    <Page title={t('menu.enrol')} lead={t('enrol.lead')}>
      <div className="grid grid-2" style={{ marginBottom: 16 }}>
        <NewToken />
        <CenterAddress />
      </div>
      <CursorTable<EnrolToken>
        list="listEnrolTokens"
        label={t('enrol.tokens')}
        columns={columns}
        rowKey={(token) => token.id}
        empty={<EmptyState text={t('enrol.empty')} />}
      />
    </Page>
  )
}

export const lazyRoute = createLazyRoute('/enrol')({ component: EnrolPage })
