/** Generated views that are committed: the API document, and what the agent carries. --check says whether they are up to date. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

// By its place at run time: the types of scripts and of the center are checked apart.
const { buildOpenApi } = (await import(join(root, 'apps/center/src/http/openapi.ts'))) as {
  buildOpenApi: (version: string) => object
}

/** The third-party packages in the agent's bundles, with versions: what runs on every machine should be few. */
function agentDependencies(): string {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string }>
  }
  const names = new Set<string>()
  for (const bundle of ['agent', 'agent-scan-worker']) {
    const meta = JSON.parse(readFileSync(join(root, `dist/${bundle}.meta.json`), 'utf8')) as {
      inputs: Record<string, unknown>
    }
    for (const input of Object.keys(meta.inputs)) {
      const name = /^(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]
      if (name !== undefined) names.add(name)
    }
  }
  const lines = [...names]
    .sort()
    .map((name) => `${name.slice('node_modules/'.length)} ${lock.packages[name]?.version ?? '?'}`)
  return `${lines.join('\n')}\n`
}

const views: Record<string, string> = {
  'openapi.json': `${JSON.stringify(buildOpenApi(version), null, 2)}\n`,
  'apps/agent/deps.txt': agentDependencies(),
}

const isCheck = process.argv.includes('--check')
let isStale = false
for (const [path, text] of Object.entries(views)) {
  const file = join(root, path)
  if (!isCheck) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    isStale = true
    process.stderr.write(`${path} is not what its sources make of it; run: npm run generate\n`)
  }
}
process.exit(isStale ? 1 : 0)
