import type { ComponentType } from 'preact'

/** What is shown, as the address says it: `view=papers/mamba` is the view `papers` with the detail `mamba`. */
export interface ViewPlace {
  readonly key: string
  readonly detail: string
}

export type ViewPage = ComponentType<{ readonly detail: string }>

export interface ViewEntry {
  readonly key: string
  /** In the navigation. */
  readonly title: string
  /** Shows or asks the runs of the address, so that they start when it is opened. */
  readonly needsRuns: boolean
  /** Absent for the first view, which is in the page's first script. */
  readonly load?: () => Promise<{ readonly default: ViewPage }>
}

/** Every view, in the order of the navigation. */
export const views: readonly ViewEntry[] = [
  { key: 'train', title: 'Train', needsRuns: true },
  {
    key: 'experiments',
    title: 'Experiments',
    needsRuns: false,
    load: () => import('./view/experiments/index'),
  },
  { key: 'recall', title: 'Recall', needsRuns: true, load: () => import('./view/recall/index') },
  { key: 'beyond', title: 'Beyond', needsRuns: true, load: () => import('./view/beyond/index') },
  { key: 'generate', title: 'Generate', needsRuns: true, load: () => import('./view/generate/index') },
  { key: 'inside', title: 'Look inside', needsRuns: true, load: () => import('./view/inside/index') },
  { key: 'lessons', title: 'Lessons', needsRuns: false, load: () => import('./view/lessons/index') },
  { key: 'papers', title: 'Papers', needsRuns: false, load: () => import('./view/papers/index') },
  { key: 'files', title: 'Files', needsRuns: false, load: () => import('./view/files/index') },
  { key: 'device', title: 'Device', needsRuns: false, load: () => import('./view/device/index') },
]

export function findView(key: string): ViewEntry | undefined {
  return views.find((view) => view.key === key)
}
