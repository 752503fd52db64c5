import type { Experiment } from '@mneme/training'
import { findPaper, findTask } from './catalogue'

/** Training settings that leave a decision to the paper or the task, with what is then decided. */
export function automaticSettings({
  paper,
  task,
  taskConfig,
}: Experiment): Readonly<Record<string, { readonly when: number; readonly value: number; readonly whose: string }>> {
  const recipe = findPaper(paper)?.recipe
  const length = taskConfig.length ?? findTask(task)?.config.length
  return {
    ...(recipe && {
      lr: { when: 0, value: recipe.lr, whose: 'recipe’s own' },
      weightDecay: { when: -1, value: recipe.weightDecay, whose: 'recipe’s own' },
    }),
    ...(typeof length === 'number' && { length: { when: 0, value: length, whose: 'task’s own' } }),
  }
}
