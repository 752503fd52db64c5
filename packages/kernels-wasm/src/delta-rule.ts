import type { GatedLinearAttentionSizes, Infos } from '@mneme/core-tensor'
import { matrixState } from './matrix-state.js'
import { shapeOf } from './one-call.js'

/**
 * `deltaRule` by its inputs q, k, v and beta, `dplrDeltaRule` by q, k, v, a and b. One walk over the state to read it, one
 * to write it, in the first-level cache where it is small.
 */
export const deltaRule = matrixState({
  inputs: {
    q: 'keys',
    k: 'keys',
    v: 'values',
    a: 'keys',
    b: 'keys',
    beta: 'gates',
    logDecay: 'decays',
    resets: 'resets',
  },
  sizes: sizesOf,
  rest: ({ H }) => [H],
  call: (kernels) => kernels.deltaRule,
  scratch: (kernels, K, V) => kernels.deltaRuleScratch(K, V),
  backward: (kernels) => kernels.deltaRuleBackward,
  backwardScratch: (kernels, tokens, K, V) => kernels.deltaRuleBackwardScratch(tokens, K, V),
})

/** Every head has keys of its own; a decay is one number a token, or one a key. */
function sizesOf(inputs: Infos): GatedLinearAttentionSizes {
  const [B, T, H, K] = shapeOf(inputs, 'k') as [number, number, number, number]
  const V = shapeOf(inputs, 'v')[3] as number
  return { B, T, G: H, H, K, V, B1: B, T1: T, K1: inputs.logDecay?.shape[3] ?? 1 }
}
