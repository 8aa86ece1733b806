import type { Platform } from '@ringwall/contracts'
import { Alert, App, Button, Checkbox, Drawer, Form, Input, InputNumber, Select, Switch } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { MonoText } from '../../ui/texts.tsx'
import { CredentialFields, type CredentialValues, toPlatformCredentials } from './credential-fields.tsx'

type Values = CredentialValues & {
  name: string
  isEnabled: boolean
  resyncMinutes: number
  requestsPerSecond: number
  labels: string[]
}

/** What now answers at the address, beside what was accepted: to be compared before it is accepted. */
function Fingerprint({ platform }: { platform: Platform }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const probe = useApiWrite('probePlatform', [])
  const accept = useApiWrite(
    'updatePlatform',
    ['getPlatform', 'listPlatforms'],
    () => void message.success(t('platform.trusted')),
  )
  const found = probe.data?.fingerprint
  const isOther = found !== undefined && found !== platform.fingerprint
  return (
    <Form.Item label={t('platform.fingerprint')}>
      <MonoText text={platform.fingerprint ?? '–'} />
      <div style={{ marginTop: 8 }}>
        <Button
          size="small"
          loading={probe.isPending}
          onClick={() => probe.mutate({ body: { kind: platform.kind, address: platform.address } })}
        >
          {t('platform.look')}
        </Button>
      </div>
      {found !== undefined && !isOther && (
        <Alert type="success" showIcon style={{ marginTop: 10 }} title={t('platform.sameFingerprint')} />
      )}
      {isOther && (
        <Alert
          type="warning"
          showIcon
          style={{ marginTop: 10 }}
          title={t('platform.otherFingerprint')}
          description={
            <>
              <MonoText text={found ?? '–'} />
              <div style={{ marginTop: 8 }}>
                <Button
                  size="small"
                  danger
                  onClick={() => accept.mutate({ params: { id: platform.id }, body: { fingerprint: found } })}
                >
                  {t('platform.trust')}
                </Button>
              </div>
            </>
          }
        />
      )}
    </Form.Item>
  )
}

/** Changes the settings of a platform; the account is only changed when it is typed again. */
export function PlatformSettings({
  platform,
  isOpen,
  onClose,
}: {
  platform: Platform
  isOpen: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [form] = Form.useForm<Values>()
  const [isAccountNew, setIsAccountNew] = useState(false)
  const kinds = useApi('listPlatformKinds', {}, { enabled: isOpen }).data?.kinds ?? []
  const capabilities = kinds.find(({ kind }) => kind === platform.kind)?.capabilities
  const save = useApiWrite('updatePlatform', ['getPlatform', 'listPlatforms', 'getTopology'], () => {
    void message.success(t('common.done'))
    onClose()
  })
  return (
    <Drawer open={isOpen} size={560} title={t('platform.edit')} onClose={onClose} destroyOnHidden>
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark={false}
        autoComplete="off"
        initialValues={{ ...platform, credentialKind: platform.credentialKind }}
        onFinish={({ name, isEnabled, resyncMinutes, requestsPerSecond, labels, ...account }) =>
          save.mutate({
            params: { id: platform.id },
            body: {
              name,
              isEnabled,
              resyncMinutes,
              requestsPerSecond,
              labels,
              ...(isAccountNew ? { credentials: toPlatformCredentials(account) } : {}),
            },
          })
        }
      >
        <Form.Item
          name="name"
          label={t('platform.name')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input />
        </Form.Item>
        <Form.Item name="isEnabled" label={t('platform.enabled')} valuePropName="checked">
          <Switch />
        </Form.Item>
        <div style={{ display: 'flex', gap: 16 }}>
          <Form.Item name="resyncMinutes" label={t('platform.resyncMinutes')}>
            <InputNumber min={1} max={1440} />
          </Form.Item>
          <Form.Item name="requestsPerSecond" label={t('platform.requestsPerSecond')}>
            <InputNumber min={0.1} max={1000} />
          </Form.Item>
        </div>
        <Form.Item name="labels" label={t('machine.labels')}>
          <Select mode="tags" open={false} suffixIcon={null} />
        </Form.Item>
        {platform.fingerprint !== null && <Fingerprint platform={platform} />}
        <Form.Item>
          <Checkbox checked={isAccountNew} onChange={(event) => setIsAccountNew(event.target.checked)}>
            {t('platform.newAccount')} {platform.account !== null && <MonoText text={platform.account} />}
          </Checkbox>
        </Form.Item>
        {isAccountNew && capabilities && <CredentialFields kinds={capabilities.credentialKinds} />}
        <Button type="primary" htmlType="submit" loading={save.isPending}>
          {t('platform.save')}
        </Button>
      </Form>
    </Drawer>
  )
}
