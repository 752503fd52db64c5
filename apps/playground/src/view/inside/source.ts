import type { Influence } from '@mneme/core-tensor/inspect/influence'
import type { LeafHistory } from '@mneme/core-tensor/inspect/state-history'
import type { Look } from '../../worker/inspect/look'

/** A model that can be asked about a sequence that it has read: a run, or a checkpoint. */
export interface Source {
  states(ids: readonly number[]): Promise<readonly LeafHistory[]>
  influence(ids: readonly number[], positions: readonly number[]): Promise<readonly Influence[] | null>
}

export type { Influence, LeafHistory, Look }

/** Invisible characters become visible. */
export function shownText(text: string): string {
  return text === '' ? '∅' : text.replace(/ /g, '·').replace(/\n/g, '⏎').replace(/\t/g, '⇥')
}

/** A token's name where it has to be told from its like: its place, from 1 on, and its text. */
export function tokenName({ tokens }: Look, t: number): string {
  return `${t + 1} ‘${shownText(tokens[t]?.text ?? '')}’`
}
