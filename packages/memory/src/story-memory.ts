import { dims, Module, normal, parameter, type Rng } from '@mneme/core-tensor'
import {
  add,
  cast,
  concat,
  expandDims,
  gather,
  greater,
  matMul,
  max,
  mul,
  notEqual,
  reshape,
  slice,
  sum,
  type Tensor,
  tensor2d,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import { hop } from './memory-hops.js'

export interface StoryMemoryOptions {
  readonly vocabulary: number
  readonly dModel: number
  readonly hops: number
  /** Sentences that are remembered, counted from the newest. */
  readonly sentences: number
  /** How the words of a sentence join: all alike, by place as the paper prints it, or as its authors' code has it. */
  readonly words: 'bag' | 'paper' | 'code'
  /** Whether sentences know how long ago they were. */
  readonly temporal: boolean
  /** Whether sentences without words are left out; the authors' code lets them take part as zeros. */
  readonly maskEmpty: boolean
  /** Deviation of the initial embeddings. */
  readonly std: number
}

/**
 * A memory network that answers a question about a story, by several hops over its sentences.
 *
 *   m_i = Σ_j l_j ⊙ A x_ij + T_A(i),   c_i = Σ_j l_j ⊙ C x_ij + T_C(i),   u = Σ_j l_j ⊙ B q_j
 *   u ← u + Σ_i softmax_i(u·m_i) c_i for each hop,   scores = W u
 *
 * Tied from hop to hop: A_{k+1} = C_k, B = A_1, Wᵀ = C_K, so K + 1 tables `[V, D]`; word 0 is no word, and its row counts as
 * zeros. T_A(1) is the newest sentence. Cost O(K N D) after the embedding.
 * Paper: Sukhbaatar et al. 2015, arXiv:1503.08895, sections 2 and 4.1.
 */
export class StoryMemory extends Module {
  readonly tables: Variable[]
  /** T of each table, `[N, D]`, row 0 the newest; null without. */
  readonly times: Variable[] | null

  constructor(
    private readonly options: StoryMemoryOptions,
    rng: Rng,
  ) {
    super()
    const { vocabulary, dModel, hops, sentences, temporal, std } = options
    const tables = (rows: number): Variable[] =>
      Array.from({ length: hops + 1 }, () => parameter(normal(rng, [rows, dModel], std)))
    this.tables = tables(vocabulary)
    this.times = temporal ? tables(sentences) : null
  }

  /**
   * story int32 `[B, N, J]`, its oldest sentence first, and question int32 `[B, J]`, to scores `[B, V]` of the answer.
   * `softmax: false` leaves the softmax of memory out, for the first part of training.
   */
  forward(story: Tensor, question: Tensor, { softmax = true }: { readonly softmax?: boolean } = {}): Tensor {
    const { B, N } = dims('StoryMemory.forward story', story, 'B N J')
    dims('StoryMemory.forward question', question, 'B J', { B })
    if (N > this.options.sentences) {
      throw new RangeError(`StoryMemory.forward story: expected at most ${this.options.sentences} sentences, got ${N}.`)
    }
    const { hops, maskEmpty } = this.options
    const slots = this.tables.map((table, k) => {
      const said = this.sentence(table, story)
      return this.times === null ? said : add(said, ages(this.times[k] as Variable, N))
    })
    const open = maskEmpty ? { open: cast(greater(max(story, 2), 0), 'float32') } : {}
    let u = this.sentence(this.tables[0] as Variable, question)
    for (let k = 0; k < hops; k++) u = hop(u, slots[k] as Tensor, slots[k + 1] as Tensor, { ...open, softmax })
    return matMul(u as never, withoutNil(this.tables[hops] as Variable) as never, false, true)
  }

  /** Words `[..., J]` to one vector `[..., D]`. */
  private sentence(table: Variable, words: Tensor): Tensor {
    const J = words.shape.at(-1) as number
    const embedded = gather(table, cast(words, 'int32'))
    const there = expandDims(cast(notEqual(words, 0), 'float32'), -1)
    const weights = wordWeights(this.options.words, J, this.options.dModel)
    return sum(mul(mul(embedded, there), weights), -2)
  }
}

/** The row of no word does not count, and is not learned. */
function withoutNil(table: Variable): Tensor {
  const [V, D] = table.shape as [number, number]
  return concat([zeros([1, D]), slice(table, [1, 0], [V - 1, D])], 0)
}

/** Rows for N sentences, the oldest first, from a table that starts at the newest. */
function ages(times: Variable, N: number): Tensor {
  const D = times.shape[1] as number
  const rows = Int32Array.from({ length: N }, (_, i) => N - 1 - i)
  return reshape(gather(times, Array.from(rows)), [1, N, D])
}

/**
 * Weights l `[J, D]` of the words of a sentence by their place j and the unit k, both from 1:
 * `paper` (1 − j/J) − (k/D)(1 − 2j/J), `code` 1 + 4 (k − (D+1)/2)(j − (J+1)/2) / (D J).
 */
export function wordWeights(kind: StoryMemoryOptions['words'], J: number, D: number): Tensor {
  const weight = (j: number, k: number): number => {
    if (kind === 'bag') return 1
    if (kind === 'paper') return 1 - j / J - (k / D) * (1 - (2 * j) / J)
    return 1 + (4 * (k - (D + 1) / 2) * (j - (J + 1) / 2)) / (D * J)
  }
  const values = Float32Array.from({ length: J * D }, (_, i) => weight(Math.floor(i / D) + 1, (i % D) + 1))
  return tensor2d(values, [J, D])
}
