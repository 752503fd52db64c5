import { cast, div, maximum, mul, reshape, scalar, sum, type Tensor } from '@tensorflow/tfjs-core'
import type { TokenModel } from './language-model.js'
import type { Pass } from './mixer.js'
import { crossEntropy } from './ops/cross-entropy.js'
import { linearCrossEntropy } from './ops/linear-cross-entropy.js'
import { dims } from './shape.js'
import type { State } from './state.js'

export interface LossOptions {
  /** 1 where a position counts, `[B, T]`; all do without. */
  readonly mask?: Tensor | undefined
  readonly state?: State
  readonly pass?: Pass
}

export interface Loss {
  /** Mean over the positions that count, in nats. */
  readonly loss: Tensor
  /** Negative log-likelihood of each position, `[B, T]`, before the mask. */
  readonly nll: Tensor
}

export interface LossAfter extends Loss {
  readonly state: State
}

/** From so many words on, scores never stand whole in training. */
const MANY_WORDS = 4096

/**
 * Mean negative log-likelihood of targets int32 `[B, T]` after ids `[B, T]`, and the state after them. With many words
 * their scores are made and used up piece by piece, where the model's output is one matrix.
 */
export function lossOf(
  model: TokenModel,
  ids: Tensor,
  targets: Tensor,
  { mask, state, pass }: LossOptions = {},
): LossAfter {
  const output = model.vocabulary < MANY_WORDS ? null : model.output
  if (!output || !model.hidden) {
    const { y, state: after } = model.forward(ids, state, pass)
    return { ...nextTokenLoss(y, targets, mask), state: after }
  }
  const { y, state: after } = model.hidden(ids, state, pass)
  const { B, T, D } = dims('lossOf hidden', y, 'B T D')
  dims('lossOf targets', targets, 'B T', { B, T })
  const { nll } = linearCrossEntropy({ hidden: reshape(y, [B * T, D]), ...output, targets: flatTargets(targets) })
  return { ...meanOf(reshape(nll, [B, T]), mask), state: after }
}

/**
 * Mean negative log-likelihood of the targets where mask is 1. scores `[B, T, V]`, targets int32 `[B, T]` (any value
 * where mask is 0), mask `[B, T]` or none.
 */
export function nextTokenLoss(scores: Tensor, targets: Tensor, mask?: Tensor): Loss {
  const { B, T, V } = dims('nextTokenLoss scores', scores, 'B T V')
  dims('nextTokenLoss targets', targets, 'B T', { B, T })
  const nll = crossEntropy({ logits: reshape(scores, [B * T, V]), targets: flatTargets(targets) }).nll
  return meanOf(reshape(nll, [B, T]), mask)
}

/** `[B T]` targets; an ignored one may be -100, which is no row of any table. */
function flatTargets(targets: Tensor): Tensor {
  const ids = targets.dtype === 'int32' ? targets : cast(targets, 'int32')
  return reshape(maximum(ids, scalar(0, 'int32')), [-1])
}

function meanOf(nll: Tensor, mask: Tensor | undefined): Loss {
  if (mask === undefined) return { loss: div(sum(nll), nll.size), nll }
  return { loss: div(sum(mul(nll, mask)), maximum(sum(mask), 1)), nll }
}
