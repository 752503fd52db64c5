import {
  add,
  div,
  exp,
  mul,
  neg,
  relu,
  sigmoid,
  softplus,
  square,
  type Tensor,
  tanh,
  elu as tfElu,
} from '@tensorflow/tfjs-core'
import { geluOp } from '../ops/gelu.js'

/** A map of each number by itself. */
export type Activation = (x: Tensor) => Tensor

/** Gaussian error linear unit, the exact form. Hendrycks and Gimpel 2016, arXiv:1606.08415. */
export const gelu: Activation = (x) => geluOp({ x }).y

/** GELU by tanh, as GPT-2 has it (`gelu_new`). */
export const geluTanh: Activation = (x) => {
  const inner = mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI))
  return mul(mul(x, 0.5), add(tanh(inner), 1))
}

/** x sigmoid(x), also called swish. */
export const silu: Activation = (x) => mul(x, sigmoid(x))

/** elu(x) + 1: the positive feature map of Katharopoulos et al. 2020, arXiv:2006.16236. */
export const eluPlusOne: Activation = (x) => add(tfElu(x), 1)

/** `ln σ(x)`, exact where the gate is all but open and where it is shut. */
export const logSigmoid: Activation = (x) => neg(softplus(neg(x)))

/** `c tanh(x / c)`: close to x where it is small, never beyond ±c. */
export const softCap =
  (cap: number): Activation =>
  (x) =>
    mul(tanh(div(x, cap)), cap)

/** Logarithm of the decay `exp(−e^A softplus(a + δ))` of a value a `[B, T, H]`; A the logarithm of a rate and δ `[H]`. */
export function rateLogDecay(x: Tensor, logRate: Tensor, bias: Tensor): Tensor {
  return neg(mul(exp(logRate), softplus(add(x, bias))))
}

export { relu, sigmoid, tanh }
