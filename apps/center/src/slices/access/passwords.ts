import { argon2, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { AppError } from '@ringwall/contracts'
import { Semaphore } from '@ringwall/runtime'

const deriveKey = promisify(argon2)
/** OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane. */
const cost = { memory: 19_456, passes: 2, parallelism: 1, tagLength: 32 } as const
/** Sign-ins at the same time must not take the memory of the machine. */
const running = new Semaphore({ capacity: 4, maxWaiting: 100 })

export const minPasswordLength = 10
const worst = new Set([
  '1234567890',
  '0123456789',
  'password12',
  'password123',
  'password1234',
  'qwertyuiop',
  'qwerty12345',
  'administrator',
  'admin12345',
  'admin123456',
  '1q2w3e4r5t',
  '1qaz2wsx3edc',
  'aa12345678',
  'a123456789',
  '1111111111',
  '0000000000',
  'iloveyou12',
  'p@ssw0rd12',
  'passw0rd123',
  'woaini1314',
  'woaini520',
  'letmein123',
  'changeme123',
  'welcome123',
  'qazwsxedc1',
  'asdfghjkl1',
  'zxcvbnm123',
  'ringwall123',
])

async function derive(password: string, salt: Buffer): Promise<Buffer> {
  const release = await running.acquire()
  try {
    return (await deriveKey('argon2id', {
      message: Buffer.from(password.normalize('NFKC')),
      nonce: salt,
      ...cost,
    })) as Buffer
  } finally {
    release()
  }
}

/** Argon2id (RFC 9106) with a random salt, as `argon2id$m,t,p$salt$hash`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, salt)
  return `argon2id$${cost.memory},${cost.passes},${cost.parallelism}$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** Whether the password is the one that was hashed. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [, , salt = '', hash = ''] = stored.split('$')
  const expected = Buffer.from(hash, 'base64')
  const actual = await derive(password, Buffer.from(salt, 'base64'))
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}

/** Throws password_too_weak. */
export function checkPasswordStrength(password: string, userName: string): void {
  const plain = password.toLowerCase()
  const isRepeated = new Set(plain).size < 4
  const isWeak =
    password.length < minPasswordLength ||
    worst.has(plain) ||
    isRepeated ||
    plain.includes(userName.toLowerCase())
  if (isWeak) throw new AppError('password_too_weak', { minLength: minPasswordLength })
}

const readable = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789'

/** A password that can be read aloud: 20 characters without look-alikes, about 115 bits. */
export function generatePassword(): string {
  const characters = Array.from({ length: 20 }, () => readable[randomInt(readable.length)])
  return [0, 5, 10, 15].map((at) => characters.slice(at, at + 5).join('')).join('-')
}
