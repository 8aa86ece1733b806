import { Alert, Button, Drawer, Form, Input, InputNumber, Radio, Tabs } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'
import { formatBytes } from '../../ui/format.ts'
import { CopyLine, TimeText } from '../../ui/texts.tsx'
import { PushProgress } from './push-progress.tsx'

function Commands({ assetIds }: { assetIds: string[] }) {
  const { t } = useTranslation()
  const create = useApiWrite('createInstallCommands', ['listEnrolTokens'])
  if (create.data === undefined)
    return (
      <>
        <p className="muted">{t('protect.commandsLead')}</p>
        <Button
          type="primary"
          loading={create.isPending}
          onClick={() => create.mutate({ body: { assetIds } })}
        >
          {t('protect.makeCommands', { count: assetIds.length })}
        </Button>
      </>
    )
  const { commands, maxUses, expiresAt, agentPackage, protectedAssetIds } = create.data
  return (
    <>
      <p className="muted">
        {t('protect.tokenValue', { count: maxUses, size: formatBytes(agentPackage.sizeBytes) })}{' '}
        <TimeText at={expiresAt} />
      </p>
      {protectedAssetIds.length > 0 && (
        <Alert
          type="info"
          showIcon
          style={{ marginBottom: 14 }}
          title={t('protect.already', { count: protectedAssetIds.length })}
        />
      )}
      {commands.map(({ osFamily, command, assetIds: covered }) => (
        <section key={osFamily} style={{ marginBottom: 18 }}>
          <h3 style={{ fontSize: 14 }}>
            {t(`protect.os.${osFamily}`)}{' '}
            <span className="muted">{t('protect.covers', { count: covered.length })}</span>
          </h3>
          {command === null ? (
            <Alert type="warning" showIcon title={t('protect.noAgent')} />
          ) : (
            <CopyLine text={command} />
          )}
        </section>
      ))}
    </>
  )
}

type PushValues = {
  kind: 'password' | 'ssh-key'
  username: string
  password?: string
  privateKeyPem?: string
  passphrase?: string
  sudoPassword?: string
  port: number
  concurrency: number
}

function toCredentials(values: PushValues) {
  const { kind, username } = values
  if (kind === 'password') return { kind, username, password: values.password ?? '' }
  return {
    kind,
    username,
    privateKeyPem: values.privateKeyPem ?? '',
    ...(values.passphrase ? { passphrase: values.passphrase } : {}),
    ...(values.sudoPassword ? { sudoPassword: values.sudoPassword } : {}),
  }
}

function Push({ assetIds }: { assetIds: string[] }) {
  const { t } = useTranslation()
  const [form] = Form.useForm<PushValues>()
  const kind = Form.useWatch('kind', form) ?? 'password'
  const start = useApiWrite('createPushJob', ['listPushJobs'])
  if (start.data !== undefined) return <PushProgress jobId={start.data.job.id} />
  const needed = [{ required: true, message: t('common.required') }]
  return (
    <Form<PushValues>
      form={form}
      layout="vertical"
      requiredMark={false}
      autoComplete="off"
      initialValues={{ kind: 'password', username: 'root', port: 22, concurrency: 5 }}
      onFinish={(values) =>
        start.mutate({
          body: {
            targets: assetIds.map((assetId) => ({ assetId, port: values.port })),
            credentials: toCredentials(values),
            concurrency: values.concurrency,
          },
        })
      }
    >
      <p className="muted">{t('protect.pushLead')}</p>
      <Form.Item name="kind">
        <Radio.Group
          options={[
            { value: 'password', label: t('credential.kind.password') },
            { value: 'ssh-key', label: t('credential.kind.ssh-key') },
          ]}
        />
      </Form.Item>
      <Form.Item name="username" label={t('credential.username')} rules={needed}>
        <Input />
      </Form.Item>
      {kind === 'password' ? (
        <Form.Item name="password" label={t('credential.password')} rules={needed}>
          <Input.Password autoComplete="new-password" />
        </Form.Item>
      ) : (
        <>
          <Form.Item name="privateKeyPem" label={t('credential.privateKey')} rules={needed}>
            <Input.TextArea rows={5} className="mono" placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" />
          </Form.Item>
          <Form.Item name="passphrase" label={t('credential.passphrase')}>
            <Input.Password autoComplete="new-password" />
          </Form.Item>
          <Form.Item name="sudoPassword" label={t('credential.sudoPassword')}>
            <Input.Password autoComplete="new-password" />
          </Form.Item>
        </>
      )}
      <div style={{ display: 'flex', gap: 16 }}>
        <Form.Item name="port" label={t('protect.port')}>
          <InputNumber min={1} max={65_535} />
        </Form.Item>
        <Form.Item name="concurrency" label={t('protect.concurrency')}>
          <InputNumber min={1} max={20} />
        </Form.Item>
      </div>
      <Button type="primary" htmlType="submit" loading={start.isPending}>
        {t('protect.start', { count: assetIds.length })}
      </Button>
    </Form>
  )
}

/** Brings the agent to machines that have none: a line to paste on them, or a push over SSH. */
export function ProtectDrawer({
  assetIds,
  isOpen,
  onClose,
}: {
  assetIds: string[]
  isOpen: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const [tab, setTab] = useState('commands')
  return (
    <Drawer
      open={isOpen}
      size={680}
      title={t('protect.title', { count: assetIds.length })}
      onClose={onClose}
      destroyOnHidden
    >
      <Tabs
        activeKey={tab}
        onChange={setTab}
        items={[
          { key: 'commands', label: t('protect.commands'), children: <Commands assetIds={assetIds} /> },
          { key: 'push', label: t('protect.push'), children: <Push assetIds={assetIds} /> },
        ]}
      />
    </Drawer>
  )
}
