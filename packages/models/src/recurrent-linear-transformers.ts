import { AReLiT, type ArelitOptions } from '@mneme/attention/arelit'
import { ReLiT } from '@mneme/attention/relit'
import {
  constant,
  FeedForward,
  GruJoin,
  type LanguageModel,
  LayerNorm,
  type LinearOptions,
  normal,
  type Paper,
  relu,
  withDefaults,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface RecurrentLinearTransformersConfig extends DecoderConfig {
  readonly nHeads: number
  readonly dHead: number
  /** Whether the state is a matrix a head, which fades entry by entry (ReLiT), or a few cosine sums (AReLiT). */
  readonly exact: boolean
  /** Features of a head over its width. */
  readonly expansion: number
  /** Cosines that stand in for the matrix state; of AReLiT. */
  readonly components: number
  /** As published, from −π to π, where two components are the same; or from 0 to π. */
  readonly spectrum: ArelitOptions['spectrum']
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Bias of the gates at the joins: the greater, the more goes by unchanged. */
  readonly gateBias: number
  readonly normEps: number
  /** What biases start from, 0 as published; a greater one keeps features away from the kink of the rectifier. */
  readonly bias: number
  /** Deviation of the token vectors. */
  readonly initStd: number
}

/** Two over the inputs is the variance that a rectifier keeps. */
const rectified = (bias: number): LinearOptions => ({
  init: (rng, shape) => normal(rng, shape, Math.sqrt(2 / (shape[1] as number))),
  biasInit: (_, shape) => constant(shape, bias),
})

function build(config: RecurrentLinearTransformersConfig): LanguageModel {
  const { dModel, dInner, gateBias, normEps, initStd, exact } = config
  const projection = rectified(config.bias)
  const Mixer = exact ? ReLiT : AReLiT
  return decoder(config, {
    embeddingStd: initStd,
    norm: null,
    layer: (_, rng) => {
      const join = () => new GruJoin(dModel, rng, { bias: gateBias, rectified: true, init: projection.init })
      return {
        mixerNorm: new LayerNorm(dModel, normEps),
        mixer: new Mixer({ ...config, projection }, rng),
        mixerJoin: join(),
        mlpNorm: new LayerNorm(dModel, normEps),
        mlp: new FeedForward(dModel, dInner, rng, projection, relu),
        mlpJoin: join(),
      }
    },
  })
}

const tiny: RecurrentLinearTransformersConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 3,
  exact: false,
  expansion: 2,
  components: 3,
  spectrum: 'full',
  dInner: 8,
  gateBias: 0.5,
  bias: 2,
  normEps: 1e-5,
  initStd: 1,
  tieEmbeddings: false,
  seed: 0,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, RecurrentLinearTransformersConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'a matrix a head': { ...tiny, exact: true },
}))

const defaults: RecurrentLinearTransformersConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  dHead: 16,
  expansion: 4,
  components: 2,
  dInner: 64,
  gateBias: 2,
  bias: 0,
}))

/**
 * Recurrent linear transformer, approximate unless `exact`: Pramanik et al. 2023, arXiv:2310.15719. `config` is laid
 * over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function recurrentLinearTransformers(config: Partial<RecurrentLinearTransformersConfig> = {}): LanguageModel {
  return build(withDefaults('recurrentLinearTransformers', defaults, config))
}

const paper: Paper<RecurrentLinearTransformersConfig, LanguageModel> = {
  card: {
    key: 'recurrent-linear-transformers',
    title: 'Recurrent Linear Transformers',
    authors: 'Pramanik, Elelimy, Machado, White',
    year: 2023,
    arxiv: '2310.15719',
    kind: 'language model',
    family: 'attention',
    equation:
      '\\tilde k^r_t = (1 - \\gamma_t) \\odot \\tilde k^r_{t-1} + \\cos(\\omega_r t)\\, \\gamma_t \\odot \\phi(k_t), \\quad \\tilde v^r_t = (1 - \\beta_t) \\odot \\tilde v^r_{t-1} + \\cos(\\omega_r t)\\, \\beta_t \\odot v_t, \\quad o_t = \\frac{\\sum_r \\tilde v^r_t (\\tilde k^r_t \\cdot \\phi(q_t))}{2 R\\, s_t \\cdot \\phi(q_t)}',
    state:
      'R cosine sums of keys and values and a normaliser, R (F + K) + F values a head, F = η K; with exact F (K + 1)',
    cost: 'O(D² + H R F), with exact O(D² + H F K)',
    differs: [
      'exact: true is ReLiT, false AReLiT; a later version of the paper calls them GaLiTe and AGaLiTe. In ReLiT one map makes queries as well as keys, values and gates.',
      'A decoder of tokens, which are embedded by a table, where the paper maps observations of an environment by a dense layer and relu. No norm at the end.',
      "spectrum 'full': as published, two components are the same; 'half' spreads them from 0 to π.",
      'Time starts anew with each document, and is counted modulo the period of the cosines.',
      'Maps start as normals with the variance of the published orthogonal ones, biases at 0.',
    ],
    claim:
      'T-maze as recall of the first cue after a corridor of 50 to 200 tokens of noise, D = 64, R = 1 to 8: as right as an LSTM, in a state that does not grow.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 1e-3, weightDecay: 0.01, groups: [vectors] },
  build,
}

export default paper
