import collected from 'virtual:paper-pages'
import type { Experiment } from '@mneme/training'

export interface ClaimRowEntry {
  readonly label: string
  readonly paper: string
  readonly seeds: number
  /** Figures as they are read, with their unit. */
  readonly median: string
  readonly spread: string | null
  readonly parameters: number
  readonly stateBytes: number
}

/** A claim with what was measured, as docs/claims.md has it. */
export interface ClaimEntry {
  readonly key: string
  readonly title: string
  readonly sentence: string
  readonly setting: string
  /** Papers among its runs. */
  readonly papers: readonly string[]
  readonly asked: number
  readonly done: number
  /** Null while runs are missing. */
  readonly verdict: { readonly pass: boolean; readonly because: string } | null
  readonly measure: string
  readonly rows: readonly ClaimRowEntry[]
}

export interface PaperPages {
  /** Axis letters of docs/notation.md. */
  readonly letters: readonly { readonly letters: readonly string[]; readonly meaning: string }[]
  /** Address of the sources; null where there is none. */
  readonly repository: string | null
  readonly claims: readonly ClaimEntry[]
  /** Of each paper, an experiment that shows something within seconds. */
  readonly tiny: Readonly<Record<string, Experiment>>
}

export const pages: PaperPages = collected

export function claimsOf(key: string): readonly ClaimEntry[] {
  return pages.claims.filter(({ papers }) => papers.includes(key))
}
