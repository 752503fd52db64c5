import { cast, exp, expandDims, logSoftmax, mul, neg, oneHot, sub, sum, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly logits: Tensor
  /** int32, each in [0, V); mask out what is not to count after the call. */
  readonly targets: Tensor
}

/** 1 at the target of each row, `[N, V]`. tfjs on wasm writes float one-hots as integers, so they are cast. */
const chosenOf = (logits: Tensor, targets: Tensor): Tensor =>
  cast(oneHot(targets, logits.shape[1] as number), 'float32')

/**
 * Negative log-likelihood of the target under softmax(logits), in nats, one a row.
 * logits `[N, V]`, targets int32 `[N]`, nll `[N]`. Time O(N V).
 */
export const crossEntropy = defineOp<Inputs, object, { readonly nll: Tensor }>({
  name: 'crossEntropy',
  inputs: { logits: 'N V', targets: 'N' },
  outputs: { nll: 'N' },
  attrs: {},
  reference({ logits, targets }) {
    const chosen = mul(logSoftmax(logits), chosenOf(logits, targets))
    return { nll: neg(sum(chosen, -1)) }
  },
  gradient({ nll: dy }, { logits, targets }) {
    const probabilities = exp(logSoftmax(logits))
    const residual = sub(probabilities, chosenOf(logits, targets))
    return { logits: mul(expandDims(dy, 1), residual) }
  },
})

/** What the laws, the self-test and the bench go by. */
export const crossEntropySheet: OpSheet<Inputs, object> = {
  equation: '\\ell_n = \\log \\sum_v e^{x_{nv}} - x_{n y_n}',
  draw: { targets: 'ids' },
  cost: ({ N = 1, V = 1 }) => ({ flops: 4 * N * V, bytes: 4 * N * V, passes: 2 }),
  examples: [{ dims: { N: 1, V: 2 } }, { dims: { N: 5, V: 65 } }, { dims: { N: 1024, V: 96 } }],
}
