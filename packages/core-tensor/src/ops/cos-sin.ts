import { cos, mul, sin, sub, type Tensor } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly angle: Tensor
}

interface Outputs {
  readonly cos: Tensor
  readonly sin: Tensor
}

/**
 * Cosine and sine of angles in radians, of any shape. Time O(N).
 *
 * An op of its own, since those of WGSL are exact to 2⁻¹¹ only, which a recurrence over complex numbers, or a position,
 * adds up; the kernel has all digits of float32.
 */
export const cosSin = defineOp<Inputs, object, Outputs>({
  name: 'cosSin',
  inputs: { angle: '*N' },
  outputs: { cos: '*N', sin: '*N' },
  attrs: {},
  reference: ({ angle }) => ({ cos: cos(angle), sin: sin(angle) }),
  gradient: (dys, _inputs, outputs) => ({ angle: sub(mul(dys.sin, outputs.cos), mul(dys.cos, outputs.sin)) }),
})

/** What the laws, the self-test and the bench go by. */
export const cosSinSheet: OpSheet<Inputs, object> = {
  equation: '(c, s) = (\\cos\\theta, \\sin\\theta)',
  cost: ({ N = 1 }) => ({ flops: 20 * N, bytes: 12 * N, passes: 1 }),
  examples: [{ dims: { N: 1 } }, { dims: { N: 65 } }, { dims: { N: 131072 } }],
}
