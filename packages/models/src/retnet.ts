import type { LanguageModel, Paper } from '@mneme/core-tensor'
import { Retention } from '@mneme/recurrent/retention'
import { type FlaConfig, flaDecoder, flaLayout, inMixer, projections } from './fla.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { withoutVectorDecay } from './recipes.js'

export interface RetNetConfig extends FlaConfig {
  readonly nHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  readonly ropeBase: number
  readonly chunk: number
}

const checkpoint = flaLayout<RetNetConfig>({
  modelType: 'retnet',
  architecture: 'RetNetForCausalLM',
  read(published) {
    const nHeads = numberOf(published, 'num_heads')
    oneOf(published, 'num_kv_heads', [nHeads], nHeads)
    for (const [key, only] of [
      ['use_short_conv', false],
      ['use_output_gate', true],
    ] as const) {
      if (flagOf(published, key, only) !== only) {
        throw new RangeError(`config.json ${key}: expected ${only}, got ${!only}, which this architecture has not.`)
      }
    }
    return {
      nHeads,
      expandK: numberOf(published, 'expand_k', 1),
      expandV: numberOf(published, 'expand_v', 2),
      ropeBase: 10000,
      chunk: 64,
    }
  },
  write: ({ nHeads, expandK, expandV }) => ({
    num_heads: nHeads,
    expand_k: expandK,
    expand_v: expandV,
    use_short_conv: false,
    use_output_gate: true,
    attn_mode: 'chunk',
  }),
  mixer: [...projections('q', 'k', 'v', 'g', 'o'), inMixer('gNorm.weight', 'g_norm_swish_gate.weight')],
})

/** RetNet: Sun et al. 2023, arXiv:2307.08621. */
const paper: Paper<RetNetConfig, LanguageModel> = {
  card: {
    key: 'retnet',
    title: 'Retentive Network: A Successor to Transformer for Large Language Models',
    authors: 'Sun, Dong, Huang, Ma, Xia, Xue, Wang, Wei',
    year: 2023,
    arxiv: '2307.08621',
    kind: 'language model',
    family: 'recurrent',
    equation: 'S_t = \\gamma_h S_{t-1} + k_t v_t^\\top, \\quad o_t = S_t^\\top q_t, \\quad \\gamma_h = 1 - 2^{-5-h}',
    state: 'S, H K V values a layer',
    cost: 'O(D² + H K V)',
    differs: [
      'The form of flash-linear-attention, whose checkpoints load: rotations pair features half a head apart, the norm by head has a weight, the feed-forward is SwiGLU, and scores are not normalised by rows, which the norm makes no difference of. The torchscale form is not here.',
    ],
    claim:
      'Character model of the novel: a lower loss than linear attention without decay; decoding takes the same time and bytes at any length, where softmax attention grows.',
  },
  config: {
    vocabulary: 256,
    dModel: 64,
    nLayers: 2,
    nHeads: 4,
    expandK: 1,
    expandV: 2,
    ropeBase: 10000,
    dInner: 128,
    normEps: 1e-6,
    chunk: 64,
    initStd: 0.02,
    tieEmbeddings: false,
    seed: 0,
  },
  tiny: {
    vocabulary: 13,
    dModel: 8,
    nLayers: 2,
    nHeads: 2,
    expandK: 1,
    expandV: 1.5,
    ropeBase: 10000,
    dInner: 8,
    normEps: 1e-6,
    chunk: 4,
    initStd: 0.4,
    tieEmbeddings: true,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: withoutVectorDecay },
  build: (config) => flaDecoder(config, (projection, rng) => new Retention({ ...config, projection }, rng)),
  checkpoint,
}

export default paper
