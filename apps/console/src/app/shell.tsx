import {
  AlertOutlined,
  ApartmentOutlined,
  ApiOutlined,
  AuditOutlined,
  BranchesOutlined,
  BugOutlined,
  CheckCircleOutlined,
  CloudServerOutlined,
  ClusterOutlined,
  DashboardOutlined,
  DatabaseOutlined,
  FileSearchOutlined,
  GlobalOutlined,
  HddOutlined,
  HeartOutlined,
  IdcardOutlined,
  InboxOutlined,
  MoonOutlined,
  PieChartOutlined,
  RadarChartOutlined,
  SafetyCertificateOutlined,
  SunOutlined,
  TeamOutlined,
  UserOutlined,
} from '@ant-design/icons'
import { isAppError, type Permission } from '@ringwall/contracts'
import { Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { Badge, Button, Dropdown, Layout, Menu, Skeleton } from 'antd'
import { type ReactNode, useEffect } from 'react'
import { useTranslation } from 'react-i18next'
import { ErrorState } from '../ui/states.tsx'
import { queryClient, useApi, useApiWrite } from './api.ts'
import { currentLanguage, setLanguage } from './i18n.ts'
import { followLive } from './live.ts'
import { setColorMode, useColorMode } from './preferences.ts'
import { dropSession, useSession } from './session.ts'

type Entry = { path: string; key: MenuKey; icon: ReactNode; permission: Permission }
type MenuKey =
  | 'overview'
  | 'machines'
  | 'topology'
  | 'assets'
  | 'platforms'
  | 'pools'
  | 'issues'
  | 'lineage'
  | 'scans'
  | 'findings'
  | 'quarantine'
  | 'cache'
  | 'hashes'
  | 'allowList'
  | 'alarms'
  | 'policy'
  | 'enrol'
  | 'users'
  | 'audit'
  | 'health'

const groups = ['protect', 'inventory', 'manage'] as const
const entries: (Entry & { group: (typeof groups)[number] })[] = [
  { group: 'protect', path: '/', key: 'overview', icon: <DashboardOutlined />, permission: 'machines.read' },
  {
    group: 'protect',
    path: '/machines',
    key: 'machines',
    icon: <ClusterOutlined />,
    permission: 'machines.read',
  },
  { group: 'protect', path: '/scans', key: 'scans', icon: <RadarChartOutlined />, permission: 'scans.read' },
  {
    group: 'protect',
    path: '/findings',
    key: 'findings',
    icon: <BugOutlined />,
    permission: 'findings.read',
  },
  {
    group: 'protect',
    path: '/quarantine',
    key: 'quarantine',
    icon: <InboxOutlined />,
    permission: 'quarantine.read',
  },
  {
    group: 'protect',
    path: '/hashes',
    key: 'hashes',
    icon: <FileSearchOutlined />,
    permission: 'findings.read',
  },
  {
    group: 'protect',
    path: '/allow-list',
    key: 'allowList',
    icon: <CheckCircleOutlined />,
    permission: 'findings.read',
  },
  { group: 'protect', path: '/cache', key: 'cache', icon: <DatabaseOutlined />, permission: 'cache.read' },
  { group: 'protect', path: '/alarms', key: 'alarms', icon: <AlertOutlined />, permission: 'alarms.read' },
  {
    group: 'inventory',
    path: '/topology',
    key: 'topology',
    icon: <ApartmentOutlined />,
    permission: 'assets.read',
  },
  { group: 'inventory', path: '/assets', key: 'assets', icon: <HddOutlined />, permission: 'assets.read' },
  { group: 'inventory', path: '/pools', key: 'pools', icon: <PieChartOutlined />, permission: 'assets.read' },
  {
    group: 'inventory',
    path: '/inventory-issues',
    key: 'issues',
    icon: <IdcardOutlined />,
    permission: 'assets.read',
  },
  {
    group: 'inventory',
    path: '/lineage',
    key: 'lineage',
    icon: <BranchesOutlined />,
    permission: 'machines.read',
  },
  {
    group: 'inventory',
    path: '/platforms',
    key: 'platforms',
    icon: <CloudServerOutlined />,
    permission: 'platforms.read',
  },
  {
    group: 'manage',
    path: '/policy',
    key: 'policy',
    icon: <SafetyCertificateOutlined />,
    permission: 'policy.read',
  },
  { group: 'manage', path: '/enrol', key: 'enrol', icon: <ApiOutlined />, permission: 'machines.enrol' },
  { group: 'manage', path: '/users', key: 'users', icon: <TeamOutlined />, permission: 'users.read' },
  { group: 'manage', path: '/audit', key: 'audit', icon: <AuditOutlined />, permission: 'audit.read' },
  { group: 'manage', path: '/health', key: 'health', icon: <HeartOutlined />, permission: 'system.read' },
]

function Navigation({ permissions }: { permissions: Permission[] }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const path = useRouterState({ select: (state) => state.location.pathname })
  const overview = useApi('getOverview', {}, { enabled: permissions.includes('machines.read') }).data
  const waiting: Partial<Record<MenuKey, number>> = {
    findings: overview?.findings.open ?? 0,
    alarms: overview?.alarms.open ?? 0,
  }
  const selected = entries.find((entry) => entry.path !== '/' && path.startsWith(entry.path))?.path ?? '/'
  const items = groups.map((group) => ({
    type: 'group' as const,
    key: group,
    label: t(`menu.${group}`),
    children: entries
      .filter((entry) => entry.group === group && permissions.includes(entry.permission))
      .map(({ path: target, key, icon }) => ({
        key: target,
        icon,
        label: (
          <span style={{ display: 'flex', justifyContent: 'space-between', alignItems: 'center' }}>
            {t(`menu.${key}`)}
            <Badge count={waiting[key] ?? 0} size="small" overflowCount={999} />
          </span>
        ),
      })),
  }))
  return (
    <Menu
      theme="dark"
      mode="inline"
      items={items}
      selectedKeys={[selected]}
      onClick={({ key }) => void navigate({ to: key })}
    />
  )
}

function TopBar({ name, role }: { name: string; role: string }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const mode = useColorMode()
  const changeLanguage = useApiWrite('changeLanguage', [])
  const signOut = useApiWrite('signOut', [], () => {
    dropSession()
    void navigate({ to: '/sign-in', search: {} as never })
  })
  const other = currentLanguage() === 'en' ? 'zh-CN' : 'en'
  const switchLanguage = () => {
    void setLanguage(other)
    changeLanguage.mutate({ body: { language: other } })
  }
  return (
    <header
      style={{
        display: 'flex',
        justifyContent: 'flex-end',
        alignItems: 'center',
        gap: 4,
        padding: '12px 28px 0',
      }}
    >
      <Button type="text" icon={<GlobalOutlined />} onClick={switchLanguage}>
        {other === 'en' ? 'English' : '中文'}
      </Button>
      <Button
        type="text"
        aria-label={t(mode === 'dark' ? 'shell.light' : 'shell.dark')}
        icon={mode === 'dark' ? <SunOutlined /> : <MoonOutlined />}
        onClick={() => setColorMode(mode === 'dark' ? 'light' : 'dark')}
      />
      <Dropdown
        trigger={['click']}
        menu={{
          items: [
            { key: 'password', label: t('shell.changePassword') },
            { key: 'docs', label: t('shell.apiDocs') },
            { type: 'divider' },
            { key: 'signOut', label: t('shell.signOut') },
          ],
          onClick: ({ key }) => {
            if (key === 'signOut') signOut.mutate({})
            else if (key === 'docs') window.open('/api/docs', '_blank', 'noopener')
            else void navigate({ to: '/password' })
          },
        }}
      >
        <Button type="text" icon={<UserOutlined />}>
          {name} <span className="muted">{role}</span>
        </Button>
      </Dropdown>
    </header>
  )
}

/** The frame around every page of a signed-in user. */
export function Shell() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const path = useRouterState({ select: (state) => state.location.pathname })
  const session = useSession()
  const isAnonymous = isAppError(session.error, 'unauthenticated')
  const mustChangePassword = session.data?.user.mustChangePassword === true
  const isReady = session.data !== undefined && !mustChangePassword
  useEffect(() => {
    if (isAnonymous) void navigate({ to: '/sign-in', search: { next: path } as never })
    else if (mustChangePassword) void navigate({ to: '/password' })
  }, [isAnonymous, mustChangePassword, navigate, path])
  useEffect(() => (isReady ? followLive(queryClient) : undefined), [isReady])
  if (session.error !== null && !isAnonymous)
    return <ErrorState error={session.error} onRetry={() => void session.refetch()} />
  if (!isReady) return <Skeleton active style={{ padding: 48 }} />
  const { user, permissions } = session.data
  return (
    <Layout hasSider style={{ minHeight: '100%' }}>
      <a className="skip-link" href="#content">
        {t('shell.skip')}
      </a>
      <Layout.Sider className="sidebar" breakpoint="md" collapsedWidth={0} width={232}>
        <div className="sidebar-content">
          <div className="brand">
            <img src="/ringwall.svg" width={32} height={32} alt="" />
            <span>
              Ringwall 环墙
              <small>{t('shell.subtitle')}</small>
            </span>
          </div>
          <nav aria-label={t('shell.navigation')}>
            <Navigation permissions={permissions} />
          </nav>
        </div>
      </Layout.Sider>
      <Layout style={{ minWidth: 0 }}>
        <TopBar name={user.name} role={t(`role.${user.role}`)} />
        <Outlet />
      </Layout>
    </Layout>
  )
}
