import { type Influence, influence } from '@mneme/core-tensor/inspect/influence'
import type { Answer } from './answer'

export interface InfluencePayload {
  readonly ids: readonly number[]
  readonly positions: readonly number[]
}

/** How strongly outputs depend on the tokens before them. */
export const answer: Answer<InfluencePayload, readonly Influence[] | null> = ({ run }, { ids, positions }) =>
  influence(run.model, ids, positions)
