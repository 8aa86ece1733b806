import { join } from 'node:path'
import type { AgentTask } from '@ringwall/contracts'
import { derivedUuid, readJsonFile } from '@ringwall/runtime'
import { z } from 'zod'
import type { KeptFiles } from './kept-files.ts'

/** The id of the event that ends a task of a machine: the same however often a kill makes it be told. */
export const endEventId = (
  type: 'scan.ended' | 'hunt.ended' | 'content.brought',
  machineId: string,
  taskId: string,
): string => derivedUuid(type, machineId, taskId)

const storedSchema = z.object({ ended: z.array(z.uuid()) })

/** Remembers which tasks of the desired state are done, until they leave it: no task is done twice. */
export function openEndedTasks(dir: string, files: KeptFiles) {
  const path = join(dir, 'ended-tasks.json')
  let ended = new Set(readJsonFile(path, storedSchema)?.ended ?? [])
  const save = () => files.write(path, { ended: [...ended] })
  return {
    has: (id: string) => ended.has(id),
    add: (id: string) => {
      ended.add(id)
      save()
    },
    /** Forgets what is no longer asked for. */
    keepOnly: (tasks: AgentTask[]) => {
      const asked = new Set(tasks.map(({ id }) => id))
      const kept = new Set([...ended].filter((id) => asked.has(id)))
      if (kept.size === ended.size) return
      ended = kept
      save()
    },
  }
}
export type EndedTasks = ReturnType<typeof openEndedTasks>
