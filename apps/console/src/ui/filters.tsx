import { SearchOutlined } from '@ant-design/icons'
import { Input, Select, Tag } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApi } from '../app/api.ts'
import { useFilters } from '../app/use-filters.ts'

const typingPauseMs = 300

/** A search box whose text goes to the address once the typing pauses. */
export function SearchFilter({ name = 'search', placeholder }: { name?: string; placeholder: string }) {
  const [filters, change] = useFilters()
  const applied = filters[name] ?? ''
  const [text, setText] = useState(applied)
  useEffect(() => setText(applied), [applied])
  useEffect(() => {
    if (text === applied) return
    const timer = setTimeout(() => change({ [name]: text }), typingPauseMs)
    return () => clearTimeout(timer)
  })
  return (
    <Input
      allowClear
      prefix={<SearchOutlined />}
      style={{ width: 300 }}
      aria-label={placeholder}
      placeholder={placeholder}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  )
}

/** A choice of one value of a filter. */
export function SelectFilter({
  name,
  label,
  options,
}: {
  name: string
  label: string
  options: { value: string; label: string }[]
}) {
  const [filters, change] = useFilters()
  return (
    <Select
      allowClear
      style={{ minWidth: 150 }}
      aria-label={label}
      placeholder={label}
      options={options}
      value={filters[name] ?? null}
      onChange={(value: string | null | undefined) => change({ [name]: value ?? undefined })}
    />
  )
}

const namesMachine: ReadonlySet<string> = new Set(['machineId', 'madeFrom'])
type LinkedName = 'machineId' | 'madeFrom' | 'scanId' | 'scheduleId' | 'sha256'

/** A value of such a filter as a person knows it: a machine by its name, other ids by their beginning. */
function LinkedValue({ name, value }: { name: LinkedName; value: string }) {
  const isMachine = namesMachine.has(name)
  const { data, isError } = useApi('getMachine', { params: { id: value } }, { enabled: isMachine })
  // A template without an agent is known to its platform only.
  const { data: asset } = useApi('getAsset', { params: { id: value } }, { enabled: isError })
  return (
    <span className={isMachine ? undefined : 'mono'}>
      {data?.machine.hostname ?? asset?.asset.name ?? value.slice(0, 16)}
    </span>
  )
}

/** Filters that came by a link and have no control of their own, to be taken away one by one. */
export function LinkedFilters({ names }: { names: LinkedName[] }) {
  const { t } = useTranslation()
  const [filters, change] = useFilters()
  return names.flatMap((name) => {
    const value = filters[name]
    if (value === undefined) return []
    return (
      <Tag key={name} closable style={{ alignSelf: 'center' }} onClose={() => change({ [name]: undefined })}>
        {t(`common.linked.${name}`)} <LinkedValue name={name} value={value} />
      </Tag>
    )
  })
}
