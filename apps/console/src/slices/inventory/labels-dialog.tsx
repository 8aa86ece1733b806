import { App, Form, Modal, Select } from 'antd'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'

type Values = { add: string[]; remove: string[] }

/** Adds labels to, and takes labels from, several assets at once. */
export function LabelsDialog({
  assetIds,
  isOpen,
  onClose,
}: {
  assetIds: string[]
  isOpen: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [form] = Form.useForm<Values>()
  const known = useApi('listAssetLabels', {}, { enabled: isOpen }).data?.labels ?? []
  const options = known.map(({ label }) => ({ value: label, label }))
  const save = useApiWrite('labelAssets', ['listAssets', 'getAsset', 'listAssetLabels'], ({ changed }) => {
    void message.success(t('asset.labelled', { count: changed }))
    onClose()
  })
  return (
    <Modal
      open={isOpen}
      title={t('asset.labelTitle', { count: assetIds.length })}
      okText={t('asset.labelSave')}
      confirmLoading={save.isPending}
      onCancel={onClose}
      onOk={() => form.submit()}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={{ add: [], remove: [] }}
        onFinish={(values) => save.mutate({ body: { assetIds, ...values } })}
      >
        <Form.Item name="add" label={t('asset.labelAdd')}>
          <Select mode="tags" options={options} tokenSeparators={[',', '，']} />
        </Form.Item>
        <Form.Item name="remove" label={t('asset.labelRemove')}>
          <Select mode="multiple" options={options} />
        </Form.Item>
      </Form>
    </Modal>
  )
}
