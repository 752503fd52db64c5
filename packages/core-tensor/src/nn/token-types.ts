import { add, slice, type Tensor } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from '../mixer.js'
import { Module } from '../module.js'
import type { Rng } from '../rng.js'
import { dims } from '../shape.js'
import type { State } from '../state.js'
import { Embedding } from './embedding.js'

/**
 * Adds a learned vector to each token by its kind, then runs the mixer inside. Kinds come with the pass; all are 0 where
 * it has none. Table `[kinds, D]`. Paper: Devlin et al. 2018, arXiv:1810.04805, section 3 (segment embeddings).
 */
export class TokenTypes extends Module implements SequenceMixer {
  readonly embedding: Embedding

  constructor(
    private readonly options: { readonly dModel: number; readonly types: number; readonly std: number },
    readonly inner: SequenceMixer,
    rng: Rng,
  ) {
    super()
    this.embedding = new Embedding(options.types, options.dModel, rng, options.std)
  }

  get traits(): MixerTraits {
    return this.inner.traits
  }

  initialState(batch: number): State {
    return this.inner.initialState(batch)
  }

  forward(x: Tensor, state?: State, pass?: Pass): Mixed<State> {
    const { B, T } = dims('TokenTypes.forward x', x, 'B T D', { D: this.options.dModel })
    if (pass?.tokenTypes) dims('TokenTypes.forward tokenTypes', pass.tokenTypes, 'B T', { B, T })
    const vectors = pass?.tokenTypes
      ? this.embedding.forward(pass.tokenTypes)
      : slice(this.embedding.weight, [0, 0], [1, -1])
    return this.inner.forward(add(x, vectors), state, pass)
  }

  stateBytes(length: number): number {
    return this.inner.stateBytes(length)
  }
}
