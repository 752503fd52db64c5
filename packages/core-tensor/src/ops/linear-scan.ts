import { add, clone, mul, reverse, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { defineOp, type Op, type OpSheet } from '../op.js'
import { delayed, shifted, startingWith, tokenAt } from './along-time.js'

interface Inputs {
  readonly a: Tensor
  readonly b: Tensor
  readonly h0?: Tensor
}

interface Attrs {
  /** Run from the last token to the first. */
  readonly reverse: boolean
}

/** One doubling step a round (Hillis and Steele 1986): log2(T) rounds of whole-sequence ops, any sign and size of a. */
function reference({ a, b, h0 }: Inputs, { reverse: backwards }: Attrs): { h: Tensor } {
  if (backwards)
    return { h: reverse(reference({ a: reverse(a, 1), b: reverse(b, 1), ...(h0 && { h0 }) }, { reverse: false }).h, 1) }
  const T = a.shape[1] as number
  let decay = a
  let h = h0 === undefined ? b : startingWith(b, mul(tokenAt(a, 0), h0))
  if (T === 1) return { h: clone(h) }
  for (let span = 1; span < T; span *= 2) {
    h = add(h, mul(decay, delayed(h, span)))
    // decay beyond the start is 0: nothing is there to be carried
    if (2 * span < T) decay = mul(decay, delayed(decay, span))
  }
  return { h }
}

/**
 * First-order linear recurrence, elementwise over channels: `h_t = a_t h_{t-1} + b_t`.
 *
 * a, b `[B, T, D]` of any real value; h0 `[B, D]`, zeros if absent; returns h `[B, T, D]`, of which the last token is
 * the final state. Time O(B T D) in one pass with a kernel, O(B T D log T) by the reference.
 * Source: Martin and Cundy 2018, arXiv:1709.04057, section 2.
 */
export const linearScan: Op<Inputs, Attrs, { readonly h: Tensor }> = defineOp({
  name: 'linearScan',
  inputs: { a: 'B T D', b: 'B T D', h0: '?B D' },
  outputs: { h: 'B T D' },
  mixes: { values: 'b', output: 'h', carried: ['h0'] },
  attrs: { reverse: false },
  reference,
  gradient({ h: dh }, { a, b, h0 }, { h }, { reverse: backwards }) {
    const start = h0 ?? zeros([a.shape[0] as number, a.shape[2] as number])
    // the cotangent runs the other way, decayed by the a of the token it has just left
    const g = linearScan(
      { a: shifted(a, zeros([a.shape[0] as number, a.shape[2] as number]), !backwards), b: dh },
      { reverse: !backwards },
    ).h
    const first = backwards ? (b.shape[1] as number) - 1 : 0
    return {
      a: mul(g, shifted(h, start, backwards)),
      b: clone(g),
      ...(h0 && { h0: mul(tokenAt(a, first), tokenAt(g, first)) }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const linearScanSheet: OpSheet<Inputs, Attrs> = {
  equation: 'h_t = a_t \\odot h_{t-1} + b_t',
  draw: { a: 'unit' },
  cost: ({ B = 1, T = 1, D = 1 }) => ({ flops: 2 * B * T * D, bytes: 12 * B * T * D, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, D: 3 } },
    { dims: { B: 2, T: 2, D: 4 } },
    { dims: { B: 1, T: 63, D: 5 }, omit: ['h0'] },
    { dims: { B: 2, T: 64, D: 8 }, attrs: { reverse: true } },
    { dims: { B: 3, T: 65, D: 7 }, attrs: { reverse: true }, omit: ['h0'] },
    { dims: { B: 1, T: 1000, D: 33 } },
    { dims: { B: 8, T: 1024, D: 256 } },
  ],
}
