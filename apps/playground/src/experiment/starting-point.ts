import type { Experiment, TrainConfig } from '@mneme/training'
import { catalogue, findTask } from './catalogue'

/** Training settings for some minutes on an ordinary machine. Rows of text are cut short; a task's own rows are not. */
export function quickTraining(taskKey: string): Partial<TrainConfig> {
  const language = findTask(taskKey)?.kind === 'language'
  return {
    steps: 6000,
    evalEvery: 50,
    evalBatches: 4,
    ...(language && { length: 64 }),
  }
}

/** An experiment that trains within minutes, for any paper and task. */
export function quickExperiment(paper = catalogue.first.paper, task = catalogue.first.task, seed = 0): Experiment {
  return { paper, config: {}, task, taskConfig: {}, train: quickTraining(task), seed }
}

/** The paper after this one in the registry: something to compare with. */
export function nextPaper(key: string): string {
  const { papers } = catalogue
  const at = papers.findIndex((paper) => paper.key === key)
  return papers[(at + 1) % papers.length]?.key ?? key
}

/** The experiment's name, the same for the same experiment, whatever the order of its settings. */
export function experimentId(experiment: Experiment): string {
  const text = JSON.stringify(sorted(experiment))
  let [a, b] = [0x811c9dc5, 0x1b873593]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]))
}
