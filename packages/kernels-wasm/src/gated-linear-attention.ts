import { gatedLinearAttentionSizes } from '@mneme/core-tensor'
import { matrixState } from './matrix-state.js'

type Inputs = Parameters<typeof gatedLinearAttentionSizes>[0]

/** Heads may share queries and keys, and all rows or tokens their decays. */
export const gatedLinearAttention = matrixState({
  inputs: { q: 'keys', k: 'keys', v: 'values', logDecay: 'decays', bonus: 'bonus', resets: 'resets' },
  sizes: (inputs) => gatedLinearAttentionSizes(inputs as Inputs),
  added: ['q', 'k', 'logDecay', 'bonus'],
  readOnly: ['bonus'],
  // bytes from one token to the next
  rest: ({ G, H, K, V, T1, K1 }) => [4 * G * K, 4 * H * V, T1 === 1 ? 0 : 4 * H * K1],
  call: (kernels) => kernels.gatedLinearAttention,
  scratch: (kernels, K, V) => kernels.gatedLinearAttentionScratch(K, V),
  backward: (kernels) => kernels.gatedLinearAttentionBackward,
  backwardScratch: (kernels, tokens, K, V) => kernels.gatedLinearAttentionBackwardScratch(tokens, K, V),
})
