import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TEST_CLUSTER_VARIABLE } from './test-database.ts'

/**
 * Waits for the end of its input, which comes when the test run closes the pipe or dies in whatever way; then stops
 * the server, if one was started in the directory, and removes the directory.
 */
const KEEPER = `
cat > /dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2> /dev/null
  tries=0
  while kill -0 "$pid" 2> /dev/null && [ "$tries" -lt 100 ]; do
    if grep -q '^State:.Z' "/proc/$pid/status" 2> /dev/null; then break; fi
    sleep 0.05
    tries=$((tries + 1))
  done
fi
rm -rf "$1"
`

/**
 * Vitest global setup: gives the run a directory for its one PostgreSQL cluster, which the first test that needs a
 * database starts. The returned teardown stops it; so does the end of this process.
 */
export async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'ringwall-test-'))
  // The server runs under another account when the tests run as root.
  await chmod(directory, 0o711)
  const keeper = spawn('sh', ['-c', KEEPER, 'ringwall-test-keeper', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  process.env[TEST_CLUSTER_VARIABLE] = directory
  return async () => {
    const exit = once(keeper, 'exit')
    keeper.stdin.end()
    await exit
  }
}
