import data from 'virtual:claims'
import type { Experiment } from '@mneme/training'

/** A claim as `mneme claim` judges it: its first seed can be opened as runs. */
export interface ClaimPreset {
  readonly key: string
  readonly title: string
  readonly sentence: string
  /** Null while a run is missing. */
  readonly verdict: { readonly pass: boolean; readonly because: string } | null
  readonly lines: readonly { readonly label: string; readonly experiment: Experiment }[]
}

export const claims: readonly ClaimPreset[] = data
