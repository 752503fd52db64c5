import {
  allOf,
  type CheckpointLayout,
  FeedForward,
  type LanguageModel,
  type Mixed,
  type MixerTraits,
  Module,
  type NameRule,
  type Paper,
  type Pass,
  RMSNorm,
  type SequenceMixer,
  type State,
  type TokenMap,
  withDefaults,
} from '@mneme/core-tensor'
import { ConvMixer } from '@mneme/recurrent/conv-mixer'
import { MinGRU, MinLSTM } from '@mneme/recurrent/min-rnn'
import { add, type Tensor } from '@tensorflow/tfjs-core'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface MinRnnConfig extends DecoderConfig {
  readonly cell: 'minGRU' | 'minLSTM'
  /** Inner width of the cell over model width. */
  readonly expansion: number
  /** Inner width of the feed-forward over model width. */
  readonly ffMult: number
  /** Width of the causal convolution in front of each cell; 0 leaves it out. */
  readonly convWidth: number
  readonly h0: 'zero' | 'half'
  readonly normEps: number
}

interface FrontedState {
  readonly [name: string]: State
  readonly front: State
  readonly mixer: State
}

/**
 * A mixer with another one in front of it, which joins the stream first, without a norm: with x + y as the new stream,
 *
 *   y = f(x) + g(norm(x + f(x)))
 *
 * All `[B, T, D]`. State and time: those of both.
 */
class FrontedMixer extends Module implements SequenceMixer<FrontedState> {
  constructor(
    readonly front: SequenceMixer,
    readonly norm: TokenMap,
    readonly mixer: SequenceMixer,
  ) {
    super()
  }

  get traits(): MixerTraits {
    return allOf([this.front.traits, this.mixer.traits])
  }

  initialState(batch: number): FrontedState {
    return { front: this.front.initialState(batch), mixer: this.mixer.initialState(batch) }
  }

  forward(x: Tensor, state = this.initialState(x.shape[0] as number), pass?: Pass): Mixed<FrontedState> {
    const { y: f, state: front } = this.front.forward(x, state.front, pass)
    const { y: g, state: mixer } = this.mixer.forward(this.norm.forward(add(x, f)), state.mixer, pass)
    return { y: add(f, g), state: { front, mixer } }
  }

  stateBytes(length: number): number {
    return this.front.stateBytes(length) + this.mixer.stateBytes(length)
  }
}

function build(config: MinRnnConfig): LanguageModel {
  const { dModel, convWidth, normEps } = config
  const Cell = config.cell === 'minLSTM' ? MinLSTM : MinGRU
  return decoder(config, {
    embeddingStd: 1,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => {
      const conv = convWidth > 0 ? new ConvMixer(dModel, convWidth, rng) : null
      const norm = new RMSNorm(dModel, normEps)
      const cell = new Cell(config, rng)
      return {
        mixerNorm: conv ? null : norm,
        mixer: conv ? new FrontedMixer(conv, norm, cell) : cell,
        mlpNorm: new RMSNorm(dModel, normEps),
        mlp: new FeedForward(dModel, Math.trunc(dModel * config.ffMult), rng),
      }
    },
  })
}

const checkpoint: CheckpointLayout<MinRnnConfig> = {
  modelTypes: ['minLM'],
  config: (published) => ({
    ...defaults,
    vocabulary: numberOf(published, 'num_tokens'),
    dModel: numberOf(published, 'dim'),
    nLayers: numberOf(published, 'depth'),
    ffMult: numberOf(published, 'ff_mult', 4),
    expansion: numberOf(published, 'expansion', 1.5),
    convWidth: flagOf(published, 'enable_conv', false) ? numberOf(published, 'conv_kernel_size', 3) : 0,
    cell: flagOf(published, 'use_lstm', false) ? 'minLSTM' : 'minGRU',
    tieEmbeddings: false,
    h0: 'zero',
    normEps: 2 ** -23,
  }),
  publish: (config) => ({
    reference: 'lucidrains/minGRU-pytorch, minGRU_pytorch/minLM.py, minLM',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    depth: config.nLayers,
    ff_mult: config.ffMult,
    expansion: config.expansion,
    enable_conv: config.convWidth > 0,
    ...(config.convWidth > 0 && { conv_kernel_size: config.convWidth }),
    use_lstm: config.cell === 'minLSTM',
  }),
  names(config): readonly NameRule[] {
    const gates = config.cell === 'minLSTM' ? 'f_i_gate' : 'gate'
    const layer = 'body.layers.{i}'
    const [norm, cell] = config.convWidth > 0 ? ['mixer.norm', 'mixer.mixer'] : ['mixerNorm', 'mixer']
    return [
      { path: 'embedding.weight', name: 'token_emb.weight' },
      { path: `${layer}.mixer.front.depthwise.weight`, name: 'layers.{i}.0.net.0.weight', squeeze: 1 },
      { path: `${layer}.mixer.front.depthwise.bias`, name: 'layers.{i}.0.net.0.bias' },
      { path: `${layer}.mixer.front.pointwise.weight`, name: 'layers.{i}.0.net.1.weight', squeeze: 2 },
      { path: `${layer}.mixer.front.pointwise.bias`, name: 'layers.{i}.0.net.1.bias' },
      { path: `${layer}.${norm}.weight`, name: 'layers.{i}.1.weight' },
      { path: `${layer}.${cell}.projection.weight`, name: `layers.{i}.2.to_hidden_and_${gates}.weight` },
      { path: `${layer}.${cell}.outProj.weight`, name: 'layers.{i}.2.to_out.weight' },
      { path: `${layer}.mlpNorm.weight`, name: 'layers.{i}.3.weight' },
      { path: `${layer}.mlp.upProj.weight`, name: 'layers.{i}.4.0.weight' },
      { path: `${layer}.mlp.upProj.bias`, name: 'layers.{i}.4.0.bias' },
      { path: `${layer}.mlp.downProj.weight`, name: 'layers.{i}.4.2.weight' },
      { path: `${layer}.mlp.downProj.bias`, name: 'layers.{i}.4.2.bias' },
      { path: 'norm.weight', name: 'norm.weight' },
      { path: 'head.weight', name: 'to_logits.weight' },
    ]
  },
}

const defaults: MinRnnConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  cell: 'minGRU',
  expansion: 1.5,
  ffMult: 2,
  convWidth: 0,
  h0: 'zero',
  normEps: 1e-6,
  tieEmbeddings: false,
  seed: 0,
}

/**
 * minGRU and minLSTM language models: Feng et al. 2024, arXiv:2410.01201. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function minRnn(config: Partial<MinRnnConfig> = {}): LanguageModel {
  return build(withDefaults('minRnn', defaults, config))
}

const paper: Paper<MinRnnConfig, LanguageModel> = {
  card: {
    key: 'min-rnn',
    title: 'Were RNNs All We Needed?',
    authors: 'Feng, Tung, Ahmed, Bengio, Hajimirsadeghi',
    year: 2024,
    arxiv: '2410.01201',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'h_t = (1 - z_t) \\odot h_{t-1} + z_t \\odot \\tilde h_t, \\quad z_t = \\sigma(W_z x_t), \\; \\tilde h_t = g(W_h x_t)',
    state: 'h, E values a layer',
    cost: 'O(D E + D F)',
    differs: [
      'Scanned in linear space instead of log space: the same numbers, and gates may be exactly 0 or 1.',
      'Linear maps of the cell have no bias, and the feed-forward is GELU, as in the common port that published checkpoints use.',
    ],
    claim:
      'Selective copying, 1, 2 and 3 layers at equal width: accuracy rises sharply with depth, since the gates of one layer see no context. Speed: one training step against tf.layers.gru of the same width.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 2,
    cell: 'minLSTM',
    expansion: 1.5,
    ffMult: 2,
    convWidth: 3,
    h0: 'half',
    normEps: 1e-6,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: { lr: 4e-3, weightDecay: 0.01, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
