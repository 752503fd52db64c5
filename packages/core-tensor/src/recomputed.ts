import { customGrad, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { differentiation } from './differentiation.js'

/**
 * `f` of one tensor or several, of which no intermediate value is kept for the backward pass: that runs f again. Costs f
 * once more and saves its activations.
 *
 * @param parameters all that f reads beside its inputs and that is trained; what is not named gets no gradient
 */
export function recomputed(
  f: (...inputs: Tensor[]) => Tensor,
  x: Tensor | readonly Tensor[],
  parameters: readonly Variable[] = [],
): Tensor {
  const inputs = Array.isArray(x) ? (x as readonly Tensor[]) : [x as Tensor]
  type Saver = (tensors: Tensor[]) => void
  const op = customGrad((...given) => {
    const save = given.pop() as unknown as Saver
    const xs = given.slice(0, inputs.length) as Tensor[]
    save(xs)
    return {
      value: f(...xs),
      gradFunc: (dy: Tensor, saved: Tensor[]) =>
        differentiation().vjp(() => [f(...saved)], [...saved, ...parameters], [dy]),
    }
  })
  return op(...inputs, ...parameters)
}
