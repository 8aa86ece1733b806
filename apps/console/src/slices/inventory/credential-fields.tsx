import type { PlatformCapabilities, PlatformCredentials } from '@ringwall/contracts'
import { Form, Input, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

export type CredentialValues = {
  credentialKind: PlatformCredentials['kind']
  username?: string
  password?: string
  tokenId?: string
  secret?: string
  privateKeyPem?: string
  passphrase?: string
}

/** What the fields of the form say, as the API takes it. */
export function toPlatformCredentials(values: CredentialValues): PlatformCredentials {
  const { credentialKind: kind, username = '' } = values
  if (kind === 'password') return { kind, username, password: values.password ?? '' }
  if (kind === 'token') return { kind, tokenId: values.tokenId ?? '', secret: values.secret ?? '' }
  if (kind === 'none') return { kind }
  return {
    kind,
    username,
    privateKeyPem: values.privateKeyPem ?? '',
    ...(values.passphrase ? { passphrase: values.passphrase } : {}),
  }
}

/** Fields for the kinds of account that a connector takes; to be put into a form with `credentialKind` set. */
export function CredentialFields({ kinds }: { kinds: PlatformCapabilities['credentialKinds'] }) {
  const { t } = useTranslation()
  const form = Form.useFormInstance<CredentialValues>()
  const kind = Form.useWatch('credentialKind', form) ?? kinds[0]
  const needed = [{ required: true, message: t('common.required') }]
  return (
    <>
      <Form.Item name="credentialKind" label={t('credential.how')} hidden={kinds.length === 1}>
        <Radio.Group options={kinds.map((value) => ({ value, label: t(`credential.kind.${value}`) }))} />
      </Form.Item>
      {(kind === 'password' || kind === 'ssh-key') && (
        <Form.Item name="username" label={t('credential.username')} rules={needed}>
          <Input autoComplete="off" />
        </Form.Item>
      )}
      {kind === 'password' && (
        <Form.Item name="password" label={t('credential.password')} rules={needed}>
          <Input.Password autoComplete="new-password" />
        </Form.Item>
      )}
      {kind === 'token' && (
        <>
          <Form.Item name="tokenId" label={t('credential.tokenId')} rules={needed}>
            <Input autoComplete="off" placeholder="ringwall@pve!inventory" />
          </Form.Item>
          <Form.Item name="secret" label={t('credential.secret')} rules={needed}>
            <Input.Password autoComplete="new-password" />
          </Form.Item>
        </>
      )}
      {kind === 'ssh-key' && (
        <>
          <Form.Item name="privateKeyPem" label={t('credential.privateKey')} rules={needed}>
            <Input.TextArea rows={4} className="mono" placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" />
          </Form.Item>
          <Form.Item name="passphrase" label={t('credential.passphrase')}>
            <Input.Password autoComplete="new-password" />
          </Form.Item>
        </>
      )}
    </>
  )
}
