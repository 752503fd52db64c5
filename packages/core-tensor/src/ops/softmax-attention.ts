import {
  add,
  cast,
  div,
  equal,
  exp,
  log,
  matMul,
  max,
  maximum,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor2d,
  transpose,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated } from '../op.js'
import { stopGradient } from '../state.js'

interface Inputs {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  /** Added to the scaled scores; batch axis may be 1. */
  readonly bias?: Tensor
  /** Query and key see each other only where these agree: packed documents; padding is a document of its own. */
  readonly queryDocuments?: Tensor
  readonly keyDocuments?: Tensor
}

interface Attrs {
  readonly causal: boolean
  /** Keys seen, the query's own included; 0 for all. */
  readonly window: number
  /** First keys that stay visible beyond the window. */
  readonly sinks: number
  /** Multiplies q·k; 0 means K^-1/2. */
  readonly scale: number
  /** Scores s become c tanh(s / c); 0 for none. */
  readonly softCap: number
}

interface Outputs {
  readonly o: Tensor
  /** Natural logarithm of the sum of exponentials, for merging with attention over other keys. */
  readonly lse: Tensor
}

const MASKED = -1e30
/** A row that sees something sums to at least 1; a smaller floor would vanish when a gradient squares it. */
const NOTHING = 1e-9

/** 0 where query i may see key j, MASKED elsewhere; queries stand at the end of the keys. `[T, S]` */
function openness(T: number, S: number, { causal, window, sinks }: Attrs): Tensor | null {
  if (!causal && window === 0) return null
  return tensor2d(
    Float32Array.from({ length: T * S }, (_, n) => {
      const position = S - T + Math.floor(n / S)
      const key = n % S
      const early = window > 0 && key <= position - window && key >= sinks
      const ahead = window > 0 && !causal && key >= position + window
      return (causal && key > position) || early || ahead ? MASKED : 0
    }),
    [T, S],
  )
}

function reference({ q, k, v, bias, queryDocuments, keyDocuments }: Inputs, attrs: Attrs): Outputs {
  const [B, T, H, K] = q.shape as [number, number, number, number]
  const [, S, G, V] = v.shape as [number, number, number, number]
  if (H % G !== 0)
    throw new RangeError(`softmaxAttention: expected query heads in multiples of ${G} key heads, got ${H}.`)
  const R = H / G
  // query head h reads key head floor(h / R): fold the R queries of a key head into its rows
  const queries = reshape(transpose(mul(q, attrs.scale || K ** -0.5), [0, 2, 1, 3]), [B * G, R * T, K])
  const keys = reshape(transpose(k, [0, 2, 1, 3]), [B * G, S, K])
  const values = reshape(transpose(v, [0, 2, 1, 3]), [B * G, S, V])
  let scores = reshape(matMul(queries, keys, false, true), [B, H, T, S])
  if (bias) scores = add(scores, bias)
  if (attrs.softCap > 0) scores = mul(tanh(div(scores, attrs.softCap)), attrs.softCap)
  const closed = openness(T, S, attrs)
  if (closed) scores = add(scores, closed)
  let visible: Tensor | null = null
  if (queryDocuments && keyDocuments) {
    visible = cast(equal(reshape(queryDocuments, [B, 1, T, 1]), reshape(keyDocuments, [B, 1, 1, S])), 'float32') // [B, 1, T, S]
    scores = add(scores, mul(sub(1, visible), MASKED))
  }
  // a row with nothing to see has MASKED everywhere: bound its maximum so that its weights come out as zeros
  const top = stopGradient(maximum(max(scores, -1, true), MASKED / 2))
  const weights = exp(sub(scores, top))
  const total = sum(weights, -1, true)
  const normed = div(weights, maximum(total, NOTHING))
  const o = matMul(reshape(normed, [B * G, R * T, S]), values)
  return {
    o: transpose(reshape(o, [B, H, T, V]), [0, 2, 1, 3]),
    lse: reshape(add(top, log(maximum(total, NOTHING))), [B, H, T]),
  }
}

/**
 * Softmax attention: `o_i = sum_j softmax_j(scale q_i·k_j + bias_ij) v_j` over the keys that query i may see.
 *
 * q `[B, T, H, K]`, k `[B, S, G, K]`, v `[B, S, G, V]` with H a multiple of G (grouped queries: head h reads key head
 * floor(h G / H)); bias `[B or 1, H, T, S]`; documents `[B, T]` and `[B, S]`. Query i stands at position S - T + i. A
 * query that may see nothing gives zeros. Time O(B H T S K); the reference holds `[B, H, T, S]`.
 * Source: Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023, arXiv:2305.13245.
 */
export const softmaxAttention = defineOp<Inputs, Attrs, Outputs>({
  name: 'softmaxAttention',
  equation: 'o_i = \\sum_j \\mathrm{softmax}_j\\!\\left(\\tfrac{q_i \\cdot k_j}{\\sqrt{K}} + b_{ij}\\right) v_j',
  inputs: {
    q: 'B T H K',
    k: 'B S G K',
    v: 'B S G V',
    bias: '?X H T S',
    queryDocuments: '?B T',
    keyDocuments: '?B S',
  },
  outputs: { o: 'B T H V', lse: 'B H T' },
  draw: { queryDocuments: 'few', keyDocuments: 'few' },
  keepOutputs: false,
  attrs: { causal: true, window: 0, sinks: 0, scale: 0, softCap: 0 },
  reference,
  gradient: differentiated(reference),
  cost: ({ B = 1, T = 1, S = 1, H = 1, K = 1, V = 1, G = 1 }, { causal }) => ({
    flops: (causal ? 1 : 2) * B * H * T * S * (K + V),
    bytes: 4 * B * (T * H * (K + V) + S * G * (K + V)),
    passes: 1,
  }),
  examples: [
    { dims: { B: 2, T: 1, S: 1, H: 1, G: 1, K: 2, V: 3, X: 1 }, omit: ['queryDocuments', 'keyDocuments'] },
    {
      dims: { B: 2, T: 3, S: 5, H: 4, G: 2, K: 3, V: 2, X: 2 },
      attrs: { softCap: 2 },
      omit: ['queryDocuments', 'keyDocuments'],
    },
    { dims: { B: 1, T: 9, S: 9, H: 2, G: 2, K: 4, V: 4, X: 1 }, attrs: { causal: false }, omit: ['bias'] },
    { dims: { B: 2, T: 63, S: 64, H: 2, G: 1, K: 5, V: 7, X: 1 }, attrs: { window: 7, sinks: 2 }, omit: ['bias'] },
    { dims: { B: 1, T: 65, S: 65, H: 3, G: 3, K: 8, V: 8, X: 1 }, omit: ['bias', 'queryDocuments', 'keyDocuments'] },
    {
      dims: { B: 2, T: 256, S: 256, H: 4, G: 2, K: 16, V: 16, X: 1 },
      omit: ['bias', 'queryDocuments', 'keyDocuments'],
    },
  ],
})
