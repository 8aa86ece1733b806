/** Holds a guard that never answers, to be stopped or killed: guard-parent.ts HELPER MOUNT [BUDGET_MS]. */
import { openGuard } from '../guard.ts'

const [helperPath = '', mount = '', budgetMs = '60000'] = process.argv.slice(2)
const guard = await openGuard({
  helperPath,
  mode: 'exec',
  onAsk: () => new Promise(() => undefined),
  onEnd: () => undefined,
})
guard.setPolicy({
  whenLate: 'allow',
  unknownLarge: 'allow-and-judge',
  maxJudgeBytes: 1024 ** 2,
  budgetMs: Number(budgetMs),
})
await guard.mark(Buffer.from(mount))
process.stdout.write(`${guard.pid}\n`)
setInterval(() => undefined, 1000)
