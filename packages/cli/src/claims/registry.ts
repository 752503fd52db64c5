import type { Claim } from './claim.js'
import { forgettingTransformer } from './forgetting-transformer.js'
import { minRnn } from './min-rnn.js'
import { minRnnSpeed } from './min-rnn-speed.js'
import { mqarRecall } from './mqar-recall.js'
import { novel } from './novel.js'
import { resformerReservoir } from './resformer-reservoir.js'
import { resformerValueResidual } from './resformer-value-residual.js'
import { armt, rmt } from './segment-memory.js'
import { titans } from './titans.js'
import { universalTransformer } from './universal-transformer.js'

/** Every claim that can be run, in the order of the page. */
export const claims: readonly Claim[] = [
  minRnn,
  minRnnSpeed,
  mqarRecall,
  rmt,
  armt,
  titans,
  forgettingTransformer,
  universalTransformer,
  resformerValueResidual,
  resformerReservoir,
  novel,
]
