import { StarOutlined } from '@ant-design/icons'
import type { SavedFilter } from '@ringwall/contracts'
import { useNavigate } from '@tanstack/react-router'
import { Button, Checkbox, Dropdown, Form, Input, Modal, Popconfirm, Typography } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi, useApiWrite } from '../../app/api.ts'
import { useMay } from '../../app/session.ts'
import { useFilters } from '../../app/use-filters.ts'

type Values = { name: string; isShared: boolean }

function SaveDialog({
  list,
  isOpen,
  onClose,
}: {
  list: SavedFilter['list']
  isOpen: boolean
  onClose: () => void
}) {
  const { t } = useTranslation()
  const may = useMay()
  const [filters] = useFilters()
  const [form] = Form.useForm<Values>()
  const create = useApiWrite('createSavedFilter', ['listSavedFilters'], onClose)
  const query = Object.fromEntries(
    Object.entries(filters).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
  )
  return (
    <Modal
      open={isOpen}
      title={t('savedFilter.save')}
      okText={t('savedFilter.save')}
      confirmLoading={create.isPending}
      onCancel={onClose}
      onOk={() => form.submit()}
      destroyOnHidden
    >
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ name: '', isShared: false }}
        onFinish={(values) => create.mutate({ body: { list, query, ...values } })}
      >
        <Form.Item
          name="name"
          label={t('savedFilter.name')}
          rules={[{ required: true, whitespace: true, message: t('common.required') }]}
        >
          <Input autoFocus maxLength={120} />
        </Form.Item>
        {may('assets.write') && (
          <Form.Item name="isShared" valuePropName="checked">
            <Checkbox>{t('savedFilter.share')}</Checkbox>
          </Form.Item>
        )}
      </Form>
    </Modal>
  )
}

/** Filters that somebody kept for this list: apply one, keep the present one, remove one's own. */
export function SavedFilters({ list }: { list: SavedFilter['list'] }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const [current] = useFilters()
  const [isSaveOpen, setIsSaveOpen] = useState(false)
  const filters = useApi('listSavedFilters', { query: { list } }).data?.filters ?? []
  const remove = useApiWrite('removeSavedFilter', ['listSavedFilters'])
  const hasFilter = Object.values(current).some((value) => value !== undefined)
  return (
    <>
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            ...filters.map((filter) => ({
              key: filter.id,
              label: (
                <span style={{ display: 'flex', justifyContent: 'space-between', gap: 24 }}>
                  <span>
                    {filter.name}{' '}
                    {filter.isShared && (
                      <Typography.Text type="secondary">
                        {t('savedFilter.sharedBy', { name: filter.ownerName })}
                      </Typography.Text>
                    )}
                  </span>
                  {filter.isOwn && (
                    <Popconfirm
                      title={t('savedFilter.removeTitle', { name: filter.name })}
                      onConfirm={() => remove.mutate({ params: { id: filter.id } })}
                    >
                      <Button size="small" type="text" danger onClick={(event) => event.stopPropagation()}>
                        {t('savedFilter.remove')}
                      </Button>
                    </Popconfirm>
                  )}
                </span>
              ),
              onClick: () => void navigate({ to: '.', search: filter.query as never }),
            })),
            ...(filters.length > 0 ? [{ type: 'divider' as const }] : []),
            {
              key: 'save',
              disabled: !hasFilter,
              label: t('savedFilter.saveCurrent'),
              onClick: () => setIsSaveOpen(true),
            },
          ],
        }}
      >
        <Button icon={<StarOutlined />}>{t('savedFilter.title')}</Button>
      </Dropdown>
      <SaveDialog list={list} isOpen={isSaveOpen} onClose={() => setIsSaveOpen(false)} />
    </>
  )
}
