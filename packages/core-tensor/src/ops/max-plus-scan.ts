import {
  add,
  cast,
  clone,
  fill,
  greaterEqual,
  maximum,
  mul,
  pad,
  reshape,
  sub,
  type Tensor,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'
import { delayed, shifted, tokenAt } from './along-time.js'
import { linearScan } from './linear-scan.js'

interface Inputs {
  readonly a: Tensor
  readonly b: Tensor
  readonly m0?: Tensor
}

/** Lower than any sum that counts, and far from overflow when such are added. */
const NEVER = -1e30

/** One doubling step a round (Hillis and Steele 1986), as for `linearScan` with (max, +) in the place of (+, times). */
function reference({ a, b, m0 }: Inputs): { m: Tensor } {
  const [B, T, D] = b.shape as [number, number, number]
  let decay = a
  let m = clone(b)
  if (m0 !== undefined) {
    const begun = reshape(add(tokenAt(a, 0), m0), [B, 1, D])
    const paddings: [number, number][] = [
      [0, 0],
      [0, T - 1],
      [0, 0],
    ]
    m = maximum(T === 1 ? begun : pad(begun, paddings, NEVER), m)
  }
  for (let span = 1; span < T; span *= 2) {
    m = maximum(add(decay, delayed(m, span, NEVER)), m)
    if (2 * span < T) decay = add(decay, delayed(decay, span))
  }
  return { m }
}

/**
 * Running maximum that fades, elementwise over channels: `m_t = max(a_t + m_{t-1}, b_t)`, the linear recurrence of the
 * logarithms where the largest term is all.
 *
 * a, b `[B, T, D]` of any real value; m0 `[B, D]`, nothing if absent; returns m `[B, T, D]`. A gradient goes to the
 * greater side, of equal ones to a + m. Time O(B T D) in one pass with a kernel, O(B T D log T) by the reference.
 */
export const maxPlusScan = defineOp<Inputs, object, { readonly m: Tensor }>({
  name: 'maxPlusScan',
  inputs: { a: 'B T D', b: 'B T D', m0: '?B D' },
  outputs: { m: 'B T D' },
  attrs: {},
  reference,
  gradient({ m: dm }, { a, b, m0 }, { m }) {
    const [B, , D] = b.shape as [number, number, number]
    const carried = cast(greaterEqual(add(a, shifted(m, m0 ?? fill([B, D], NEVER))), b), 'float32')
    const g = linearScan({ a: shifted(carried, zeros([B, D]), true), b: dm }, { reverse: true }).h
    const da = mul(carried, g)
    return { a: da, b: sub(g, da), ...(m0 && { m0: tokenAt(da, 0) }) }
  },
})

/** What the laws, the self-test and the bench go by. */
export const maxPlusScanSheet: OpSheet<Inputs, object> = {
  equation: 'm_t = \\max(a_t + m_{t-1},\\ b_t)',
  cost: ({ B = 1, T = 1, D = 1 }) => ({ flops: 2 * B * T * D, bytes: 12 * B * T * D, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, D: 3 } },
    { dims: { B: 2, T: 2, D: 4 } },
    { dims: { B: 1, T: 63, D: 5 }, omit: ['m0'] },
    { dims: { B: 2, T: 64, D: 8 } },
    { dims: { B: 3, T: 65, D: 7 }, omit: ['m0'] },
    { dims: { B: 1, T: 1000, D: 3 } },
    { dims: { B: 8, T: 1024, D: 64 } },
  ],
}
