/** Every permission, with the roles that have it. One table for API, console and command line. */
export const roles = ['viewer', 'operator', 'administrator'] as const
export type Role = (typeof roles)[number]

export const permissionCatalog = {
  'machines.read': 'viewer',
  'machines.write': 'operator',
  'machines.enrol': 'operator',
  'machines.remove': 'administrator',
  'machines.protect': 'administrator',
  'assets.read': 'viewer',
  'assets.write': 'operator',
  'platforms.read': 'viewer',
  'platforms.write': 'administrator',
  'scans.read': 'viewer',
  'scans.run': 'operator',
  'schedules.write': 'operator',
  'findings.read': 'viewer',
  'findings.decide': 'operator',
  'cache.read': 'viewer',
  'cache.flush': 'administrator',
  'quarantine.read': 'viewer',
  'quarantine.restore': 'operator',
  'quarantine.delete': 'administrator',
  'policy.read': 'viewer',
  'policy.write': 'administrator',
  'alarms.read': 'viewer',
  'alarms.write': 'operator',
  'users.read': 'administrator',
  'users.write': 'administrator',
  'audit.read': 'administrator',
  'system.read': 'viewer',
} as const satisfies Record<string, Role>

export type Permission = keyof typeof permissionCatalog

/** Whether a role has a permission: a role has what the roles before it have. */
export function roleHas(role: Role, permission: Permission): boolean {
  return roles.indexOf(role) >= roles.indexOf(permissionCatalog[permission])
}

/** All permissions of a role, sorted. */
export function permissionsOf(role: Role): Permission[] {
  return (Object.keys(permissionCatalog) as Permission[])
    .filter((permission) => roleHas(role, permission))
    .sort()
}
