import { loadPaper } from '@mneme/models'
import { loadTask, type TaskSpec } from '@mneme/tasks'
import { type Experiment, type ResolvedExperiment, resolveExperiment } from '@mneme/training'

/** An experiment with its paper and task from the registries. @throws RangeError or TypeError for a wrong setting */
export function resolved(experiment: Experiment): Promise<ResolvedExperiment> {
  // each task has settings of its own, which a loader of any task cannot name
  return resolveExperiment(experiment, { loadPaper, loadTask: loadTask as never })
}

/** The whole task: training knows only what it asks of one. */
export function taskOf({ task }: ResolvedExperiment): TaskSpec {
  return task as unknown as TaskSpec
}

/** Tokens of a row in training. */
export function trainedLength({ train, taskConfig }: ResolvedExperiment): number {
  return train.length || (taskConfig as { readonly length?: number }).length || 1
}
