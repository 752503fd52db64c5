import { unknownName } from '@mneme/core-tensor/config'
import type { TaskSpec } from './task.js'

/** Every task by key; each is loaded when first asked for. */
export const tasks: Readonly<Record<string, () => Promise<{ default: TaskSpec }>>> = {
  mqar: () => import('./mqar.js'),
  copying: () => import('./copying.js'),
  'selective-copying': () => import('./selective-copying.js'),
  'induction-heads': () => import('./induction-heads.js'),
  'fact-recall': () => import('./fact-recall.js'),
  'associative-retrieval': () => import('./associative-retrieval.js'),
  'string-copying': () => import('./string-copying.js'),
  majority: () => import('./majority.js'),
  novel: () => import('./novel.js'),
}

/** The keys of `tasks`. */
export const taskKeys: readonly string[] = Object.keys(tasks)

/**
 * Loads a task by key.
 *
 * @throws RangeError for an unknown key, with a suggestion
 */
export async function loadTask(key: string): Promise<TaskSpec> {
  const load = Object.hasOwn(tasks, key) ? tasks[key] : undefined
  if (load === undefined) throw new RangeError(unknownName('loadTask', 'task', key, taskKeys))
  return (await load()).default
}
