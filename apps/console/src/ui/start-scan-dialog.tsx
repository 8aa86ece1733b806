import { useNavigate } from '@tanstack/react-router'
import { Form, Input, Modal, Radio } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../app/api.ts'

type Values = { scope: 'machine' | 'paths'; paths: string }

/** Starts a scan of machines: all of them, or paths on them, one a line. Opens the scan's page. */
export function StartScanDialog({
  machineIds,
  isOpen,
  onClose,
}: {
  machineIds: string[]
  isOpen: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const [form] = Form.useForm<Values>()
  const scope = Form.useWatch('scope', form)
  const start = useApiWrite('startScan', ['listScans', 'getOverview'], ({ scan }) => {
    onClose()
    void navigate({ to: '/scans/$id', params: { id: scan.id } })
  })
  const submit = ({ scope: chosen, paths }: Values) =>
    start.mutate({
      body: {
        machineIds,
        paths:
          chosen === 'machine'
            ? []
            : paths
                .split('\n')
                .map((path) => path.trim())
                .filter((path) => path !== ''),
      },
    })
  const checkPaths = (_: unknown, text: string | undefined) => {
    const lines = (text ?? '').split('\n').filter((line) => line.trim() !== '')
    if (lines.length === 0) return Promise.reject(new Error(t('common.required')))
    return lines.every((line) => line.trim().startsWith('/'))
      ? Promise.resolve()
      : Promise.reject(new Error(t('scan.absolutePaths')))
  }
  return (
    <Modal
      open={isOpen}
      title={t('scan.startTitle', { count: machineIds.length })}
      okText={t('scan.start')}
      confirmLoading={start.isPending}
      onOk={() => form.submit()}
      onCancel={onClose}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ scope: 'machine', paths: '' }}
        onFinish={submit}
      >
        <Form.Item name="scope" label={t('scan.scope')}>
          <Radio.Group
            options={[
              { value: 'machine', label: t('scan.wholeMachine') },
              { value: 'paths', label: t('scan.somePaths') },
            ]}
          />
        </Form.Item>
        {scope === 'paths' && (
          <Form.Item
            name="paths"
            label={t('scan.paths')}
            extra={t('scan.pathsHint')}
            rules={[{ validator: checkPaths }]}
          >
            <Input.TextArea
              className="mono"
              autoSize={{ minRows: 3, maxRows: 10 }}
              placeholder={'/srv/www\n/tmp'}
            />
          </Form.Item>
        )}
      </Form>
    </Modal>
  )
}
