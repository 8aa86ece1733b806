import type { PlatformCapabilities, PlatformKind } from '@ringwall/contracts'
import { Alert, App, Button, Drawer, Form, Input, Select, Steps } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { formatNumber } from '../../ui/format.ts'
import { MonoText } from '../../ui/texts.tsx'
import { CredentialFields, type CredentialValues, toPlatformCredentials } from './credential-fields.tsx'
import { PlatformWarnings } from './platform-warnings.tsx'

type Values = CredentialValues & { kind: PlatformKind; address: string; name: string }

const steps = ['where', 'trust', 'account', 'preview'] as const

function Verified({ capabilities }: { capabilities: PlatformCapabilities }) {
  const { t } = useTranslation()
  return (
    <p className="muted">
      {t(`platform.changes.${capabilities.changes}`)} {t(`platform.verified.${capabilities.verified}`)}
    </p>
  )
}

function WizardForm({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [form] = Form.useForm<Values>()
  const [step, setStep] = useState(0)
  const [fingerprint, setFingerprint] = useState<string | null>(null)
  const kinds = useApi('listPlatformKinds', {}).data?.kinds ?? []
  const kind = Form.useWatch('kind', form)
  const capabilities = kinds.find((entry) => entry.kind === kind)?.capabilities ?? undefined
  const values = () => form.getFieldsValue(true) as Values
  const probe = useApiWrite('probePlatform', [], (answer) => {
    setFingerprint(answer.fingerprint)
    setStep(answer.fingerprint === null ? 2 : 1)
  })
  const test = useApiWrite('testPlatform', [], () => setStep(3))
  const create = useApiWrite('createPlatform', ['listPlatforms', 'getTopology'], ({ platform }) => {
    void message.success(t('platform.added', { name: platform.name }))
    onDone()
  })
  const connection = () => {
    const { kind: chosen, address } = values()
    return { kind: chosen, address, fingerprint, credentials: toPlatformCredentials(values()) }
  }
  const look = async () => {
    const { kind: chosen, address } = await form.validateFields(['kind', 'address', 'name'])
    form.setFieldValue('credentialKind', capabilities?.credentialKinds[0])
    probe.mutate({ body: { kind: chosen, address } })
  }
  const tryOut = async () => {
    await form.validateFields()
    test.mutate({ body: connection() })
  }
  const preview = test.data
  return (
    <Form<Values> form={form} layout="vertical" requiredMark={false} autoComplete="off">
      <Steps
        size="small"
        current={step}
        items={steps.map((key) => ({ title: t(`platform.step.${key}`) }))}
        style={{ marginBottom: 24 }}
      />
      <div hidden={step !== 0}>
        <Form.Item
          name="kind"
          label={t('platform.kindLabel')}
          rules={[{ required: true, message: t('common.required') }]}
        >
          <Select
            options={kinds
              .filter((entry) => entry.kind !== 'import')
              .map((entry) => ({
                value: entry.kind,
                disabled: !entry.isAvailable,
                label: entry.isAvailable
                  ? t(`platform.kind.${entry.kind}`)
                  : `${t(`platform.kind.${entry.kind}`)} · ${t('platform.later')}`,
              }))}
          />
        </Form.Item>
        {capabilities !== undefined && <Verified capabilities={capabilities} />}
        <Form.Item
          name="name"
          label={t('platform.name')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input placeholder={t('platform.namePlaceholder')} />
        </Form.Item>
        <Form.Item
          name="address"
          label={t('platform.address')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input placeholder={capabilities?.addressExample ?? ''} />
        </Form.Item>
        <Button type="primary" loading={probe.isPending} onClick={() => void look()}>
          {t('platform.look')}
        </Button>
      </div>
      <div hidden={step !== 1}>
        <Alert type="info" showIcon title={t('platform.trustTitle')} description={t('platform.trustText')} />
        <p style={{ margin: '18px 0' }}>
          <MonoText text={fingerprint ?? ''} />
        </p>
        <Button onClick={() => setStep(0)}>{t('platform.back')}</Button>{' '}
        <Button type="primary" onClick={() => setStep(2)}>
          {t('platform.trust')}
        </Button>
      </div>
      <div hidden={step !== 2}>
        <p className="muted">{t('platform.accountText')}</p>
        {capabilities !== undefined && <CredentialFields kinds={capabilities.credentialKinds} />}
        <Button onClick={() => setStep(fingerprint === null ? 0 : 1)}>{t('platform.back')}</Button>{' '}
        <Button type="primary" loading={test.isPending} onClick={() => void tryOut()}>
          {t('platform.test')}
        </Button>
      </div>
      {step === 3 && preview !== undefined && (
        <>
          <Alert
            type="success"
            showIcon
            title={`${preview.identity.product} ${preview.identity.version}`}
            description={
              preview.preview === null
                ? t('platform.previewLarge')
                : t('platform.previewText', {
                    clusters: formatNumber(preview.preview.clusters),
                    hosts: formatNumber(preview.preview.hosts),
                    machines: formatNumber(preview.preview.machines),
                    templates: formatNumber(preview.preview.templates),
                  })
            }
          />
          <PlatformWarnings warnings={preview.identity.warnings} />
          {preview.preview !== null && (
            <p className="muted break" style={{ margin: '14px 0 20px' }}>
              {[...preview.preview.hostNames, ...preview.preview.machineNames].join(' · ')}
            </p>
          )}
          <Button onClick={() => setStep(2)}>{t('platform.back')}</Button>{' '}
          <Button
            type="primary"
            loading={create.isPending}
            onClick={() => create.mutate({ body: { ...connection(), name: values().name } })}
          >
            {t('platform.add')}
          </Button>
        </>
      )}
    </Form>
  )
}

/** Adding a platform, step by step: where it is, whether it is the right one, as whom, and what is there. */
export function PlatformWizard({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  return (
    <Drawer open={isOpen} size={640} title={t('platform.add')} onClose={onClose} destroyOnHidden>
      <WizardForm onDone={onClose} />
    </Drawer>
  )
}
