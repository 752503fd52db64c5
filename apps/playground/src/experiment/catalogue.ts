import data from 'virtual:catalogue'
import type { Card, Recipe } from '@mneme/core-tensor'
import type { TaskSpec } from '@mneme/tasks'
import type { TrainConfig } from '@mneme/training'

export type Settings = Readonly<Record<string, unknown>>

/** A paper as the page shows it. */
export interface PaperEntry extends Omit<Card, 'equation'> {
  /** MathML, line by line. */
  readonly equation: readonly string[]
  /** All settings at their defaults. */
  readonly config: Settings
  /** What is meant where an experiment leaves rate and decay to the paper. */
  readonly recipe: Pick<Recipe, 'lr' | 'weightDecay'>
}

export interface TaskEntry extends Pick<TaskSpec, 'key' | 'title' | 'source' | 'kind' | 'metric'> {
  readonly config: Settings
}

export interface Catalogue {
  readonly papers: readonly PaperEntry[]
  readonly tasks: readonly TaskEntry[]
  readonly train: TrainConfig
  readonly first: { readonly paper: string; readonly task: string }
}

export const catalogue: Catalogue = data

export function findPaper(key: string): PaperEntry | undefined {
  return catalogue.papers.find((paper) => paper.key === key)
}

/** A paper's title as far as its colon, for where there is little room. */
export function shortTitle(key: string): string {
  return findPaper(key)?.title.split(':', 1)[0] ?? key
}

/** A task's title, or its key where there is no such task. */
export function taskTitle(key: string): string {
  return findTask(key)?.title ?? key
}

export function findTask(key: string): TaskEntry | undefined {
  return catalogue.tasks.find((task) => task.key === key)
}
