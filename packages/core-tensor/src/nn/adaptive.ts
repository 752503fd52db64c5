import {
  add,
  cast,
  clipByValue,
  concat,
  expandDims,
  greaterEqual,
  less,
  logicalAnd,
  logSoftmax,
  matMul,
  mul,
  reshape,
  slice,
  sub,
  type Tensor,
  type Variable,
} from '@tensorflow/tfjs-core'
import { constant, normal } from '../init.js'
import { Module, parameter } from '../module.js'
import { affine } from '../ops/affine.js'
import { embedding } from '../ops/embedding.js'
import type { Rng } from '../rng.js'
import { dims } from '../shape.js'
import type { TokenEmbedding } from './embedding.js'
import type { TokenMap } from './feed-forward.js'

export interface AdaptiveOptions {
  readonly vocabulary: number
  readonly dModel: number
  /** Width of the vectors of the most frequent tokens. */
  readonly dEmbedding: number
  /** First tokens of the bands behind the most frequent ones, rising, without 0 and the vocabulary. */
  readonly cutoffs: readonly number[]
  /** Each band's vectors are narrower than those of the band before by this; 1 for one table of one width. */
  readonly divisor: number
  readonly std: number
  readonly projectionStd: number
}

interface Band {
  readonly from: number
  readonly size: number
  readonly width: number
}

function bandsOf({ vocabulary, dEmbedding, cutoffs, divisor }: AdaptiveOptions): Band[] {
  const edges = [0, ...cutoffs, vocabulary]
  if (edges.some((edge, i) => i > 0 && edge <= (edges[i - 1] as number))) {
    throw new RangeError(`AdaptiveEmbedding cutoffs: expected rising ones below ${vocabulary}, got ${cutoffs.join()}.`)
  }
  return edges.slice(1).map((to, k) => {
    const from = edges[k] as number
    return { from, size: to - from, width: Math.floor(dEmbedding / divisor ** k) }
  })
}

/**
 * Vectors of tokens in bands, from frequent to rare, each narrower than the one before and projected up to one width:
 * `x = P_k E_k[id - c_k]`. Time O(T D e) a band.
 * Paper: Baevski and Auli 2018, arXiv:1809.10853, section 3.
 */
export class AdaptiveEmbedding extends Module implements TokenEmbedding {
  /** `[V_k, e_k]` by band; a single `[V, e]` where all are of one width. */
  readonly tables: readonly Variable[]
  /** `[D, e_k]` by band; a single one, or none where e is D, where all are of one width. */
  readonly projections: readonly Variable[]

  constructor(
    readonly options: AdaptiveOptions,
    rng: Rng,
  ) {
    super()
    const { vocabulary, dModel, dEmbedding, divisor, std, projectionStd } = options
    const bands = bandsOf(options)
    const tables = divisor === 1 ? [{ size: vocabulary, width: dEmbedding }] : bands
    this.tables = tables.map(({ size, width }) => parameter(normal(rng, [size, width], std)))
    const projected = divisor === 1 && dEmbedding === dModel ? [] : tables
    this.projections = projected.map(({ width }) => parameter(normal(rng, [dModel, width], projectionStd)))
  }

  get vocabulary(): number {
    return this.options.vocabulary
  }

  /** int32 `[B, T]` to `[B, T, D]`. */
  forward(ids: Tensor): Tensor {
    const flat = reshape(ids.dtype === 'int32' ? ids : cast(ids, 'int32'), [-1])
    const { dModel, divisor } = this.options
    const parts = divisor === 1 ? [this.looked(0, flat)] : bandsOf(this.options).map((b, k) => this.banded(b, k, flat))
    return reshape(
      parts.reduce((sum, part) => add(sum, part)),
      [...ids.shape, dModel],
    )
  }

  private looked(k: number, ids: Tensor): Tensor {
    const { y } = embedding({ table: this.tables[k] as Variable, ids })
    const projection = this.projections[k]
    return projection === undefined ? y : affine({ x: y, weight: projection }).y
  }

  /** Vectors of the tokens of one band, and zeros for all others. */
  private banded({ from, size }: Band, k: number, ids: Tensor): Tensor {
    const inside = logicalAnd(greaterEqual(ids, from), less(ids, from + size))
    const local = cast(clipByValue(sub(cast(ids, 'float32'), from), 0, size - 1), 'int32')
    return mul(this.looked(k, local), expandDims(cast(inside, 'float32'), 1))
  }
}

export interface AdaptiveSoftmaxOptions {
  /** Whether the bands' scores are made with the vectors of the embedding. */
  readonly tied: boolean
  /** Bands whose projection is that of the embedding as well; the others have their own. */
  readonly tiedProjections: readonly boolean[]
  /** Whether the scores of bands stand behind those of the first band in their order, or the last band first. */
  readonly clusters: 'forward' | 'backward'
}

/** The embedding that a softmax is tied to, apart from its own parameters. */
interface Tied {
  readonly embedding: AdaptiveEmbedding
}

/**
 * Logarithms of probabilities over bands: the first band's tokens share one softmax with the other bands as a whole, and
 * each of those has a softmax of its own.
 *
 *   ln p(id) = ln p_0(id),   or ln p_0(band k) + ln p_k(id - c_k),   scores of band k: E_k (P_kᵀ h) + b_k
 *
 * h `[B, T, D]` to `[B, T, V]`. All bands are computed, since every token's probability is asked for.
 * Paper: Grave et al. 2016, arXiv:1609.04309, section 4; tied as in Baevski and Auli 2018, arXiv:1809.10853.
 */
export class AdaptiveSoftmax extends Module implements TokenMap {
  /** By band, or a single one over the vocabulary where all vectors are of one width. */
  readonly biases: readonly Variable[]
  /** Own tables where the embedding's do not serve. */
  readonly tables: readonly Variable[]
  /** Own projections `[D, e_k]`; null where the embedding's serves, or there is none. */
  readonly projections: readonly (Variable | null)[]
  /** `[n, e_0]` and `[n]` for n bands behind the first; null where there is one band. */
  readonly clusterWeight: Variable | null
  readonly clusterBias: Variable | null
  private readonly bands: readonly Band[]

  constructor(
    private readonly tied: Tied,
    private readonly options: AdaptiveSoftmaxOptions,
    rng: Rng,
  ) {
    super()
    const shared = tied.embedding.options
    const { dModel, vocabulary, divisor, std, projectionStd } = shared
    this.bands = bandsOf(shared)
    const sizes = divisor === 1 ? [vocabulary] : this.bands.map(({ size }) => size)
    this.biases = sizes.map((size) => parameter(constant([size], 0)))
    this.tables = options.tied ? [] : tied.embedding.tables.map(({ shape }) => parameter(normal(rng, shape, std)))
    this.projections = this.bands.map((band, k) =>
      tied.embedding.projections.length === 0 || options.tiedProjections[k]
        ? null
        : parameter(normal(rng, [dModel, divisor === 1 ? shared.dEmbedding : band.width], projectionStd)),
    )
    const n = this.bands.length - 1
    this.clusterWeight = n > 0 ? parameter(normal(rng, [n, shared.dEmbedding], std)) : null
    this.clusterBias = n > 0 ? parameter(constant([n], 0)) : null
  }

  /** Vectors `[B, T, D]` to logarithms of probabilities `[B, T, V]`. */
  forward(h: Tensor): Tensor {
    const { B, T, D } = dims('AdaptiveSoftmax.forward h', h, 'B T D', { D: this.tied.embedding.options.dModel })
    const flat = reshape(h, [B * T, D])
    const [first, ...others] = this.bands.map((band, k) => {
      const inner = this.projected(flat, k)
      const scores = affine({ x: inner, weight: this.rows(band, k), bias: this.bias(band, k) }).y
      if (k > 0 || this.clusterWeight === null || this.clusterBias === null) return logSoftmax(scores)
      const clusters = affine({ x: inner, weight: this.clusterWeight, bias: this.clusterBias }).y
      return logSoftmax(concat([scores, clusters], 1))
    }) as [Tensor, ...Tensor[]]
    if (others.length === 0) return reshape(first, [B, T, -1])
    const size = (this.bands[0] as Band).size
    const parts = others.map((scores, i) => {
      const column = this.options.clusters === 'forward' ? i : others.length - 1 - i
      return add(scores, slice(first, [0, size + column], [-1, 1]))
    })
    return reshape(concat([slice(first, [0, 0], [-1, size]), ...parts], 1), [B, T, -1])
  }

  private projected(h: Tensor, k: number): Tensor {
    const { embedding } = this.tied
    const single = embedding.options.divisor === 1
    const projection = this.projections[k] ?? embedding.projections[single ? 0 : k]
    return projection === undefined ? h : matMul(h, projection)
  }

  private rows(band: Band, k: number): Tensor {
    const tables = this.tables.length > 0 ? this.tables : this.tied.embedding.tables
    if (this.tied.embedding.options.divisor !== 1) return tables[k] as Variable
    return slice(tables[0] as Variable, [band.from, 0], [band.size, -1])
  }

  private bias(band: Band, k: number): Tensor {
    if (this.tied.embedding.options.divisor !== 1) return this.biases[k] as Variable
    return slice(this.biases[0] as Variable, [band.from], [band.size])
  }
}
