import { InboxOutlined } from '@ant-design/icons'
import type { CsvProblem } from '@ringwall/contracts'
import { Alert, App, Modal, Table, type TableColumnsType, Upload } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApiWrite } from '../../app/api.ts'

type Checked = { lines: number; created: number; updated: number; unchanged: number; problemCount: number }

function Problems({ problems }: { problems: CsvProblem[] }) {
  const { t } = useTranslation()
  const columns: TableColumnsType<CsvProblem> = [
    { title: t('import.line'), dataIndex: 'line', width: 70 },
    { title: t('import.column'), key: 'column', render: (_, problem) => problem.column ?? '–' },
    { title: t('import.problem'), key: 'code', render: (_, problem) => t(`import.code.${problem.code}`) },
    {
      title: t('import.value'),
      key: 'value',
      render: (_, problem) => <span className="mono break">{problem.value}</span>,
    },
  ]
  return (
    <Table<CsvProblem>
      size="small"
      columns={columns}
      dataSource={problems}
      rowKey={(problem) => `${problem.line} ${problem.column} ${problem.code}`}
      pagination={{ pageSize: 8, hideOnSinglePage: true }}
    />
  )
}

/** Takes a CSV file of machines that no platform knows: checks it first, writes all of it or nothing. */
export function ImportDialog({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [csv, setCsv] = useState<string>()
  const [checked, setChecked] = useState<Checked>()
  const [problems, setProblems] = useState<CsvProblem[]>([])
  const close = () => {
    setCsv(undefined)
    setChecked(undefined)
    setProblems([])
    onClose()
  }
  const run = useApiWrite(
    'importAssets',
    ['listAssets', 'getTopology', 'listPools', 'listPlatforms'],
    (answer) => {
      setProblems(answer.problems)
      setChecked(answer)
      if (!answer.isApplied) return
      void message.success(t('import.done', { created: answer.created, updated: answer.updated }))
      close()
    },
  )
  const canApply = csv !== undefined && checked !== undefined && checked.problemCount === 0
  return (
    <Modal
      open={isOpen}
      width={720}
      title={t('import.title')}
      okText={t('import.apply')}
      okButtonProps={{ disabled: !canApply, loading: run.isPending }}
      onOk={() => csv !== undefined && run.mutate({ body: { csv, isDryRun: false } })}
      onCancel={close}
      destroyOnHidden
    >
      <p className="muted">{t('import.lead')}</p>
      <pre className="evidence mono">{'name,kind,os,addresses,macs,uuid,labels'}</pre>
      <Upload.Dragger
        accept=".csv,text/csv"
        maxCount={1}
        showUploadList={false}
        beforeUpload={async (file) => {
          const text = (await file.text()).replace(/^\ufeff/, '')
          setCsv(text)
          run.mutate({ body: { csv: text, isDryRun: true } })
          return false
        }}
      >
        <InboxOutlined style={{ fontSize: 28 }} />
        <p>{t('import.drop')}</p>
      </Upload.Dragger>
      {checked !== undefined && (
        <Alert
          style={{ margin: '14px 0' }}
          showIcon
          type={checked.problemCount > 0 ? 'error' : 'success'}
          title={
            checked.problemCount > 0
              ? t('import.refused', { count: checked.problemCount })
              : t('import.ready', {
                  created: checked.created,
                  updated: checked.updated,
                  unchanged: checked.unchanged,
                })
          }
        />
      )}
      {problems.length > 0 && <Problems problems={problems} />}
    </Modal>
  )
}
