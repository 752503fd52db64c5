import { concat, slice, type Tensor } from '@tensorflow/tfjs-core'
import { Module } from '../module.js'
import { recomputed } from '../recomputed.js'
import type { TokenMap } from './feed-forward.js'

/**
 * A map of each token that runs over a block of tokens at a time and keeps none of its activations: the backward pass
 * makes them again, a block at a time. The same numbers at the memory of one block.
 * Paper: Liu and Abbeel 2023, arXiv:2305.19370, section 3.
 */
export class Blockwise<M extends Module & TokenMap> extends Module implements TokenMap {
  constructor(
    readonly inner: M,
    /** Tokens of a block. */
    private readonly block: number,
  ) {
    super()
    if (!(Number.isInteger(block) && block >= 1)) {
      throw new RangeError(`Blockwise block: expected a whole number of tokens, at least 1, got ${block}.`)
    }
  }

  /** `[B, T, D]` to what the inner map gives. */
  forward(x: Tensor): Tensor {
    const [B, T, D] = x.shape as [number, number, number]
    const parameters = this.inner.parameters()
    const outputs: Tensor[] = []
    for (let t = 0; t < T; t += this.block) {
      const piece = slice(x, [0, t, 0], [B, Math.min(this.block, T - t), D])
      outputs.push(recomputed((tokens) => this.inner.forward(tokens), piece, parameters))
    }
    return outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs, 1)
  }
}
