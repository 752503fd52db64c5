import {
  add,
  concat,
  expandDims,
  mul,
  neg,
  reshape,
  slice,
  stack,
  sub,
  type Tensor,
  unstack,
} from '@tensorflow/tfjs-core'
import { defineOp, type Op, type OpSheet } from '../op.js'

interface Inputs {
  readonly x: Tensor
  readonly cos: Tensor
  readonly sin: Tensor
}

interface Attrs {
  /** Which features form a pair: (m, m + R) of the rotated part, or (2m, 2m + 1). */
  readonly layout: 'half' | 'interleaved'
}

function pairs(x: Tensor, R: number, layout: Attrs['layout']): [Tensor, Tensor] {
  const [B, T, H] = x.shape as [number, number, number]
  if (layout === 'half') return [slice(x, [0, 0, 0, 0], [B, T, H, R]), slice(x, [0, 0, 0, R], [B, T, H, R])]
  return unstack(reshape(slice(x, [0, 0, 0, 0], [B, T, H, 2 * R]), [B, T, H, R, 2]), 4) as [Tensor, Tensor]
}

function reference({ x, cos, sin }: Inputs, { layout }: Attrs): { y: Tensor } {
  const [B, T, H, K] = x.shape as [number, number, number, number]
  const R = cos.shape[2] as number
  const [first, second] = pairs(x, R, layout)
  const c = expandDims(cos, 2) // [X, T, 1, R]
  const s = expandDims(sin, 2)
  const turned = [sub(mul(first, c), mul(second, s)), add(mul(second, c), mul(first, s))]
  const rotated = layout === 'half' ? concat(turned, 3) : reshape(stack(turned, 4), [B, T, H, 2 * R])
  return { y: 2 * R === K ? rotated : concat([rotated, slice(x, [0, 0, 0, 2 * R], [B, T, H, K - 2 * R])], 3) }
}

/**
 * Rotary position embedding: turns pairs of features by an angle that grows with the position; the features beyond 2R
 * stay. x `[B, T, H, K]`; cos and sin of the angles `[1 or B, T, R]`, which are
 * constants.
 * Source: Su et al. 2021, arXiv:2104.09864, section 3.2.
 */
export const rotary: Op<Inputs, Attrs, { readonly y: Tensor }> = defineOp({
  name: 'rotary',
  inputs: { x: 'B T H K', cos: 'X T R', sin: 'X T R' },
  outputs: { y: 'B T H K' },
  keepOutputs: false,
  attrs: { layout: 'half' } as Attrs,
  reference,
  // turning back is turning by the opposite angle
  gradient: ({ y: dy }, { cos, sin }, _outputs, attrs) => ({ x: rotary({ x: dy, cos, sin: neg(sin) }, attrs).y }),
})

/** What the laws, the self-test and the bench go by. */
export const rotarySheet: OpSheet<Inputs, Attrs> = {
  equation:
    "(x_m, x_{m'}) \\leftarrow (x_m \\cos\\theta - x_{m'} \\sin\\theta,\\; x_{m'} \\cos\\theta + x_m \\sin\\theta)",
  cost: ({ B = 1, T = 1, H = 1, K = 1 }) => ({ flops: 3 * B * T * H * K, bytes: 8 * B * T * H * K, passes: 1 }),
  examples: [
    { dims: { B: 2, T: 1, H: 1, K: 2, R: 1, X: 1 } },
    { dims: { B: 1, T: 5, H: 3, K: 8, R: 4, X: 1 }, attrs: { layout: 'interleaved' } },
    { dims: { B: 2, T: 7, H: 2, K: 10, R: 3, X: 2 } },
    { dims: { B: 1, T: 3, H: 2, K: 7, R: 2, X: 1 }, attrs: { layout: 'interleaved' } },
    { dims: { B: 4, T: 256, H: 4, K: 32, R: 16, X: 1 } },
  ],
}
