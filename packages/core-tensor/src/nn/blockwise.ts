import type { Tensor } from '@tensorflow/tfjs-core'
import { Module } from '../module.js'
import { joined, pieceOf, spans } from '../ops/blocks.js'
import { recomputed } from '../recomputed.js'
import { wholeNumber } from '../shape.js'
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
    wholeNumber('Blockwise block', block, 'tokens')
  }

  /** `[B, T, D]` to what the inner map gives. */
  forward(x: Tensor): Tensor {
    const parameters = this.inner.parameters()
    const outputs = spans(x.shape[1] as number, this.block).map((block) =>
      recomputed((tokens: Tensor) => this.inner.forward(tokens), pieceOf(x, block, 1), parameters),
    )
    return joined(outputs, 1)
  }
}
