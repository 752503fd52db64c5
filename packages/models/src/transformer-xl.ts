import { RelativeAttention, type RelativeBiases } from '@mneme/attention/relative-attention'
import {
  AdaptiveEmbedding,
  AdaptiveSoftmax,
  FeedForward,
  type LanguageModel,
  type LanguageParts,
  LayerNorm,
  normal,
  normalInit,
  type Paper,
  parameter,
  Rng,
  relu,
  withDefaults,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'
import { checkpoint } from './transformer-xl-checkpoint.js'

export interface TransformerXlConfig extends DecoderConfig {
  readonly nHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  /** Tokens of earlier segments that each layer can see. */
  readonly memory: number
  readonly sameLength: boolean
  /** Distances beyond this count as this; 0 for none. */
  readonly clampLength: number
  /** Whether memory starts full of zero vectors, which queries see, rather than empty. */
  readonly zeroMemory: boolean
  /** Whether each layer has its own two vectors that stand in for the query's position, rather than all the same. */
  readonly untiedBiases: boolean
  /** Embedding and softmax in bands of frequency; null for a table, and a bias on its scores. */
  readonly adaptive: {
    /** First tokens of the bands behind the most frequent ones; none for one band. */
    readonly cutoffs: readonly number[]
    /** Each band's vectors are narrower than those of the band before by this. */
    readonly divisor: number
    readonly dEmbedding: number
    /** Bands whose projection to scores is that of the embedding. */
    readonly tiedProjections: readonly boolean[]
    /** Order of the bands' own scores: the authors' code has the last first. */
    readonly clusters: 'forward' | 'backward'
  } | null
  readonly normEps: number
  readonly initStd: number
  /** Whose names a file has. */
  readonly layout: 'authors' | 'transformers'
}

function build(config: TransformerXlConfig): LanguageModel {
  const { dModel, nHeads, dHead, dInner, normEps, initStd } = config
  const init = normalInit(initStd)
  const pair = (rng: Rng): RelativeBiases => ({
    content: parameter(normal(rng, [nHeads, dHead], initStd)),
    position: parameter(normal(rng, [nHeads, dHead], initStd)),
  })
  const shared = config.untiedBiases ? null : pair(new Rng(config.seed).fork('biases'))
  const { adaptive } = config
  return decoder(config, {
    ...(adaptive && { tokens: (...rngs: readonly [Rng, Rng]) => adaptiveTokens(config, adaptive, ...rngs) }),
    embeddingStd: initStd,
    embeddingScale: Math.sqrt(dModel),
    ...(config.tieEmbeddings && adaptive === null ? { headBias: true } : { headStd: initStd }),
    norm: null,
    stack: { norm: 'post' },
    layer: (_, layerRng) => ({
      mixer: new RelativeAttention(
        { ...config, projection: { bias: false, init } },
        shared ?? pair(layerRng.fork('biases')),
        layerRng,
      ),
      mixerNorm: new LayerNorm(dModel, normEps),
      mlp: new FeedForward(dModel, dInner, layerRng, { init }, relu),
      mlpNorm: new LayerNorm(dModel, normEps),
    }),
  })
}

function adaptiveTokens(
  { vocabulary, dModel, initStd, tieEmbeddings }: TransformerXlConfig,
  adaptive: NonNullable<TransformerXlConfig['adaptive']>,
  forEmbedding: Rng,
  forHead: Rng,
): Required<Pick<LanguageParts, 'embedding' | 'head'>> {
  const sizes = { ...adaptive, vocabulary, dModel, std: initStd, projectionStd: initStd / 2 }
  const embedding = new AdaptiveEmbedding(sizes, forEmbedding)
  const head = new AdaptiveSoftmax({ embedding }, { ...adaptive, tied: tieEmbeddings }, forHead)
  return { embedding, head }
}

const defaults: TransformerXlConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  dInner: 256,
  segment: 32,
  memory: 64,
  sameLength: false,
  clampLength: 0,
  zeroMemory: false,
  untiedBiases: false,
  adaptive: null,
  normEps: 1e-5,
  initStd: 0.02,
  layout: 'authors',
  tieEmbeddings: true,
  seed: 0,
}

const tiny: TransformerXlConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 4,
  dInner: 8,
  segment: 5,
  memory: 7,
  sameLength: false,
  clampLength: 9,
  zeroMemory: false,
  untiedBiases: false,
  adaptive: null,
  normEps: 1e-5,
  initStd: 0.4,
  layout: 'authors',
  tieEmbeddings: true,
  seed: 0,
}

/**
 * Transformer-XL: Dai et al. 2019, arXiv:1901.02860. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function transformerXl(config: Partial<TransformerXlConfig> = {}): LanguageModel {
  return build(withDefaults('transformerXl', defaults, config))
}

const paper: Paper<TransformerXlConfig, LanguageModel> = {
  card: {
    key: 'transformer-xl',
    title: 'Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context',
    authors: 'Dai, Yang, Yang, Carbonell, Le, Salakhutdinov',
    year: 2019,
    arxiv: '1901.02860',
    kind: 'language model',
    family: 'attention',
    equation:
      'a_{ij} = (q_i + u) \\cdot k_j + (q_i + v) \\cdot W_r R_{i-j}, \\quad j \\in \\text{memory} \\cup \\text{segment}',
    state: 'inputs of the last M tokens and of the open segment, (M + L) D values a layer',
    cost: 'O(D² + (M + L) D)',
    differs: [
      'A plain softmax over the vocabulary unless adaptive is given: then embedding and softmax in bands of frequency, as the word-level models have them.',
      'Files of transformers (transfo-xl) start from a memory of zero vectors that queries see, which zeroMemory is; their segments are those of the caller, here 128 tokens unless tgt_len says otherwise. pre_lnorm is refused.',
      'A segment may be fed in parts: its tokens become memory when it is full, as in training.',
    ],
    claim:
      'Character model of the novel, 4 layers, D = 128, L = 32, memory 0, 32 and 128 at equal parameters: the loss falls with memory. Copying over more than L tokens: at chance without memory.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [vectors, { match: /\.(content|position)Bias$|^headBias$/, weightDecay: 0 }],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, TransformerXlConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'bands of frequency, memory of zeros': {
    ...tiny,
    sameLength: true,
    // at this width no ReLU stands at its kink, where finite differences say nothing
    dInner: 6,
    zeroMemory: true,
    untiedBiases: true,
    adaptive: {
      cutoffs: [4, 9],
      divisor: 2,
      dEmbedding: 8,
      tiedProjections: [false, true, false],
      clusters: 'forward',
    },
    layout: 'transformers',
  },
  'bands of one width': {
    ...tiny,
    adaptive: { cutoffs: [5], divisor: 1, dEmbedding: 5, tiedProjections: [false, true], clusters: 'backward' },
    tieEmbeddings: false,
  },
}))

export default paper
