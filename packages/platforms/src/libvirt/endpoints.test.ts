import { describe, expect, it } from 'vitest'
import { formatHostKeys, parseEndpoints, parseHostKeys } from './endpoints.ts'

const keyA = `sha256:${'a'.repeat(64)}`
const keyB = `sha256:${'b'.repeat(64)}`

describe('endpoints', () => {
  it('reads lists of sockets and SSH hosts', () => {
    expect(
      parseEndpoints('unix:///run/a-sock, ssh://root@kvm1\nssh://kvm2:2222/run/b-sock ssh://me@[::1]'),
    ).toEqual([
      { kind: 'unix', label: 'unix:///run/a-sock', socketPaths: ['/run/a-sock'] },
      {
        kind: 'ssh',
        label: 'kvm1',
        host: 'kvm1',
        port: 22,
        username: 'root',
        socketPaths: expect.arrayContaining([
          '/run/libvirt/virtqemud-sock-ro',
          '/run/libvirt/libvirt-sock-ro',
        ]),
      },
      {
        kind: 'ssh',
        label: 'kvm2:2222',
        host: 'kvm2',
        port: 2222,
        username: null,
        socketPaths: ['/run/b-sock'],
      },
      expect.objectContaining({ label: '[::1]', host: '::1', username: 'me' }),
    ])
    expect(parseEndpoints('unix://')).toMatchObject([
      { kind: 'unix', socketPaths: expect.arrayContaining(['/run/libvirt/libvirt-sock']) },
    ])
  })

  it.each([
    ['', 'expected unix:///path or ssh://user@host'],
    ['kvm1', 'expected unix:///path or ssh://user@host[:port][/path]'],
    ['tcp://kvm1:16509', 'expected unix:///path or ssh://user@host[:port][/path]'],
    ['ssh://root:secret@kvm1', 'passwords, queries and fragments do not belong in an address'],
    ['ssh://kvm1/sock?x=1', 'passwords, queries and fragments do not belong in an address'],
    ['unix://kvm1/sock', 'a Unix socket has no host: unix:///path'],
    ['ssh://', 'expected ssh://user@host[:port][/path]'],
    [`unix:///${'x'.repeat(120)}`, 'a socket path has at most 107 bytes'],
    ['ssh://kvm1, ssh://kvm1', 'it is there twice'],
  ])('refuses %j', (address, reason) => {
    expect(() => parseEndpoints(address)).toThrow(
      expect.objectContaining({
        code: 'platform_address_invalid',
        params: expect.objectContaining({ reason }),
      }),
    )
  })

  it('writes no password into an error', () => {
    expect(() => parseEndpoints('ssh://root:secret@kvm1')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    )
  })
})

describe('pinned host keys', () => {
  const one = parseEndpoints('ssh://kvm1, unix://')
  const two = parseEndpoints('ssh://kvm2:2222, ssh://kvm1')

  it('is null, one key, or a sorted list of them', () => {
    expect(formatHostKeys(new Map())).toBeNull()
    expect(formatHostKeys(new Map([['kvm1', keyA]]))).toBe(keyA)
    const several = new Map([
      ['kvm2:2222', keyB],
      ['kvm1', keyA],
    ])
    expect(formatHostKeys(several)).toBe(`kvm1=${keyA},kvm2:2222=${keyB}`)
    expect(parseHostKeys(`kvm1=${keyA},kvm2:2222=${keyB}`, two)).toEqual(several)
  })

  it('gives a host no key that is not its own', () => {
    expect(parseHostKeys(keyA, one)).toEqual(new Map([['kvm1', keyA]]))
    expect(parseHostKeys(keyA, two)).toEqual(new Map())
    expect(parseHostKeys(undefined, two)).toEqual(new Map())
    expect(parseHostKeys(`kvm1=sha256:short,=${keyB}`, two)).toEqual(new Map())
  })
})
