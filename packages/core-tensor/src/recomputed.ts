import { customGrad, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import { vjp } from './gradients.js'

/**
 * `f(x)`, of which no intermediate value is kept for the backward pass: that runs f again. Costs f once more and saves its
 * activations.
 *
 * @param parameters all that f reads beside x and that is trained; what is not named gets no gradient
 */
export function recomputed(f: (x: Tensor) => Tensor, x: Tensor, parameters: readonly Variable[]): Tensor {
  type Saver = (tensors: Tensor[]) => void
  const op = customGrad((...given) => {
    const save = given.pop() as unknown as Saver
    const [input] = given as [Tensor]
    save([input])
    return {
      value: f(input),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const again = saved[0] as Tensor
        return vjp(() => [f(again)], [again, ...parameters], [dy])
      },
    }
  })
  return op(x, ...parameters)
}
