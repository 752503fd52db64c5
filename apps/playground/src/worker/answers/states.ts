import { type LeafHistory, stateHistory } from '@mneme/core-tensor/inspect/state-history'
import type { Answer } from './answer'

/** What becomes of the state while tokens are read one by one. */
export const answer: Answer<readonly number[], readonly LeafHistory[]> = ({ run }, ids) => stateHistory(run.model, ids)
