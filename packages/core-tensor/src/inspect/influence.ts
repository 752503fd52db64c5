import { add, max, norm, slice, type Tensor, tensor2d, tidy, zeros } from '@tensorflow/tfjs-core'
import { valueAndGrads } from '../gradients.js'
import type { TokenModel } from '../language-model.js'
import { watch } from '../watch.js'

/** How strongly the output after one token depends on each token of the sequence. */
export interface Influence {
  /** The token whose output is looked at. */
  readonly position: number
  /** Length of the gradient by the embedded tokens, one for each token. */
  readonly lengths: Float32Array
}

/**
 * The effective receptive field: the gradient of the highest score after a token, by the vectors that the tokens were
 * embedded as. Costs a forward and a backward for each position. Null where the model embeds its tokens piece by piece,
 * or anything beside them. Where a model cuts gradients between segments, what reaches across a cut is not seen.
 *
 * @param positions tokens whose outputs are looked at
 */
export async function influence(
  model: TokenModel,
  ids: ArrayLike<number>,
  positions: readonly number[],
): Promise<readonly Influence[] | null> {
  const T = ids.length
  const width = embeddedWidth(model, ids)
  if (width === null) return null
  const found: Influence[] = []
  for (const position of positions) {
    const gradient = tidy(() => {
      const input = tensor2d(Int32Array.from(ids), [1, T], 'int32')
      const nudge = zeros([1, T, width])
      const score = (): Tensor => {
        const onTap = (name: string, value: Tensor): Tensor => (name === 'embedded' ? add(value, nudge) : value)
        const { y } = watch({ onTap }, () => model.forward(input))
        return max(slice(y, [0, position, 0], [1, 1, -1]))
      }
      const [gradient] = valueAndGrads(score, [nudge]).grads
      return norm(gradient as Tensor, 'euclidean', 2)
    })
    found.push({ position, lengths: (await gradient.data()).slice() as Float32Array })
    gradient.dispose()
  }
  return found
}

/** Width of the vectors of the tokens; null unless they are embedded once, one for one. */
function embeddedWidth(model: TokenModel, ids: ArrayLike<number>): number | null {
  const shapes: number[][] = []
  tidy(() => {
    const onTap = (name: string, value: Tensor): Tensor => {
      if (name === 'embedded') shapes.push(value.shape)
      return value
    }
    watch({ onTap }, () => model.forward(tensor2d(Int32Array.from(ids), [1, ids.length], 'int32')))
  })
  const [shape] = shapes
  return shapes.length === 1 && shape?.[1] === ids.length ? (shape[2] as number) : null
}
