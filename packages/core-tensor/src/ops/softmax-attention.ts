import { defineOp, differentiated, type OpSheet } from '../op.js'
import {
  type AttentionAttrs,
  type AttentionInputs,
  type AttentionOutputs,
  reference,
} from './softmax-attention-reference.js'

/**
 * Softmax attention over the keys that a query may see, without a T x S buffer:
 *
 *   o_i = sum_j exp(s_ij - lse_i) v_j,   s_ij = cap(scale q_i·k_j) + b_ij,   lse_i = log(sum_j exp(s_ij) + exp(sink))
 *
 * q `[B, T, H, K]`, k `[B, S, G, K]`, v `[B, S, G, V]` with H a multiple of G (head h reads key head floor(h G / H));
 * o `[B, T, H, V]`, lse `[B, H, T]`. Query i stands at position S - T + i among the keys, whose number may differ; a
 * query that may see nothing gives zeros and an lse of -5e29.
 *
 * Biases add up: `bias` `[B or 1, H or 1, T, S]`; `relativeBias` `[H, R]`, a table by distance (T5); `slopes` `[H]`,
 * times the distance (ALiBi); `logForget` `[B, S, H]` <= 0, the sum of gates after key j up to query i (forgetting
 * attention; causal only). `sinkLogits` `[H]` join the denominator, and so lse: where parts are merged by lse, one of
 * them has the sinks. `keyMask` `[B, S]`; documents `[B, T]` and `[B, S]`.
 *
 * Time O(B H T S (K + V)), less what causality and window leave out by whole blocks; memory that of inputs and outputs, of
 * the reference also the scores of `block` queries, B H S a query.
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithms 1 and 4; grouped queries: Ainslie et al. 2023, arXiv:2305.13245;
 * slopes: Press et al. 2021, arXiv:2108.12409; distance table: Raffel et al. 2019, arXiv:1910.10683; forget gate: Lin et
 * al. 2025, arXiv:2503.02130, section 3; first keys kept: Xiao et al. 2023, arXiv:2309.17453.
 */
export const softmaxAttention = defineOp<AttentionInputs, AttentionAttrs, AttentionOutputs>({
  name: 'softmaxAttention',
  inputs: {
    q: 'B T H K',
    k: 'B S G K',
    v: 'B S G V',
    bias: '?X Y T S',
    relativeBias: '?H R',
    slopes: '?H',
    logForget: '?B S H',
    sinkLogits: '?H',
    keyMask: '?B S',
    queryDocuments: '?B T',
    keyDocuments: '?B S',
  },
  outputs: { o: 'B T H V', lse: 'B H T' },
  mixes: { values: 'v', output: 'o', carried: [] },
  attrs: { causal: true, window: 0, sinks: 0, scale: 0, softCap: 0, ahead: 0, block: 64 },
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by; pure, so that a bundle without them has none of it. */
export const softmaxAttentionSheet: OpSheet<AttentionInputs, AttentionAttrs> = /* @__PURE__ */ sheet()

function sheet(): OpSheet<AttentionInputs, AttentionAttrs> {
  return {
    equation: 'o_i = \\sum_j \\mathrm{softmax}_j\\!\\left(\\tfrac{q_i \\cdot k_j}{\\sqrt{K}} + b_{ij}\\right) v_j',
    draw: {
      slopes: 'unit',
      logForget: 'logDecay',
      keyMask: 'mask',
      queryDocuments: 'few',
      keyDocuments: 'few',
    },
    cost: ({ B = 1, T = 1, S = 1, H = 1, K = 1, V = 1, G = 1 }, { causal, window }) => {
      // pairs of a query and a key that it sees
      const pairs = window > 0 ? T * Math.min(window, S) : causal ? T * (S - (T - 1) / 2) : T * S
      return { flops: 2 * B * H * pairs * (K + V), bytes: 4 * B * (T * H * (K + V) + S * G * (K + V)), passes: 1 }
    },
    examples: [
      {
        dims: { B: 1, T: 2, S: 3, H: 2, G: 1, K: 2, V: 3, X: 1, Y: 2, R: 2 },
        attrs: { block: 2 },
        omit: ['keyMask', 'queryDocuments', 'keyDocuments'],
      },
      { dims: { B: 2, T: 1, S: 1, H: 4, G: 2, K: 5, V: 9 }, omit: only() },
      { dims: { B: 2, T: 3, S: 5, H: 4, G: 2, K: 3, V: 2, X: 2, Y: 1 }, attrs: { softCap: 2 }, omit: only('bias') },
      {
        dims: { B: 2, T: 5, S: 7, H: 4, G: 2, K: 3, V: 5 },
        attrs: { window: 4, sinks: 1, block: 4 },
        omit: only('slopes', 'logForget', 'sinkLogits'),
      },
      {
        dims: { B: 1, T: 6, S: 6, H: 4, G: 2, K: 4, V: 2 },
        attrs: { causal: false, softCap: 1 },
        omit: only('slopes', 'keyMask', 'sinkLogits'),
      },
      {
        dims: { B: 1, T: 9, S: 9, H: 2, G: 2, K: 4, V: 4 },
        attrs: { causal: false, block: 4 },
        omit: only('queryDocuments', 'keyDocuments', 'sinkLogits'),
      },
      {
        dims: { B: 2, T: 11, S: 7, H: 2, G: 1, K: 3, V: 5, X: 1, Y: 1, R: 6 },
        attrs: { causal: false, window: 6, ahead: 3, block: 3 },
        omit: only('bias', 'relativeBias', 'slopes', 'keyMask', 'sinkLogits'),
      },
      { dims: { B: 2, T: 63, S: 64, H: 2, G: 1, K: 5, V: 7 }, attrs: { window: 7, sinks: 2, block: 16 }, omit: only() },
      {
        dims: { B: 1, T: 65, S: 65, H: 4, G: 2, K: 6, V: 4 },
        attrs: { window: 20, block: 16 },
        omit: only('logForget', 'sinkLogits'),
      },
      {
        dims: { B: 2, T: 13, S: 29, H: 3, G: 3, K: 8, V: 8, R: 9 },
        attrs: { block: 8 },
        omit: only('relativeBias', 'logForget', 'slopes'),
      },
      {
        dims: { B: 1, T: 70, S: 131, H: 2, G: 1, K: 5, V: 3, X: 1, Y: 2, R: 50 },
        attrs: { window: 66, sinks: 3, ahead: 1, softCap: 3, block: 50 },
        omit: [],
      },
      { dims: { B: 1, T: 1, S: 1000, H: 2, G: 1, K: 1, V: 1 }, attrs: { scale: 1 }, omit: only('slopes', 'keyMask') },
      {
        dims: { B: 2, T: 64, S: 64, H: 2, G: 2, K: 9, V: 5 },
        attrs: { window: 30, block: 24 },
        omit: only('keyMask', 'queryDocuments', 'keyDocuments'),
      },
      { dims: { B: 2, T: 256, S: 256, H: 4, G: 2, K: 16, V: 16 }, omit: only() },
    ],
  }
}

/** The optional inputs without those named: what an example leaves out. */
function only(...kept: string[]): string[] {
  const optional = ['bias', 'relativeBias', 'slopes', 'logForget', 'sinkLogits']
  return [...optional, 'keyMask', 'queryDocuments', 'keyDocuments'].filter((name) => !kept.includes(name))
}
