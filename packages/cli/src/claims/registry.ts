import type { Claim } from './claim.js'
import { minRnn } from './min-rnn.js'
import { mqarRecall } from './mqar-recall.js'
import { resformerValueResidual } from './resformer-value-residual.js'
import { titans } from './titans.js'

/** Every claim that can be run, in the order of the page. */
export const claims: readonly Claim[] = [minRnn, mqarRecall, resformerValueResidual, titans]
