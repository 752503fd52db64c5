import { FeedForward, type LanguageModel, type Paper, RMSNorm, withDefaults } from '@mneme/core-tensor'
import { GRU } from '@mneme/recurrent/gru'
import { LSTM } from '@mneme/recurrent/lstm'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface GruConfig extends DecoderConfig {
  readonly cell: 'GRU' | 'LSTM'
  /** Inner width of the cell. */
  readonly dHidden: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  readonly normEps: number
}

function build(config: GruConfig): LanguageModel {
  const { dModel, cell, normEps } = config
  return decoder(config, {
    embeddingStd: 1,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: cell === 'LSTM' ? new LSTM({ ...config, forgetBias: 1 }, rng) : new GRU(config, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new FeedForward(dModel, config.dInner, rng),
    }),
  })
}

const defaults: GruConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  cell: 'GRU',
  dHidden: 64,
  dInner: 128,
  normEps: 1e-6,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: GruConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  dHidden: 5,
  dInner: 8,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, GruConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'LSTM, as wide as the model': { ...tiny, cell: 'LSTM', dHidden: 6 },
}))

/**
 * GRU and LSTM language models, the cells that newer ones are measured against: Cho et al. 2014, arXiv:1406.1078.
 * `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function gru(config: Partial<GruConfig> = {}): LanguageModel {
  return build(withDefaults('gru', defaults, config))
}

const paper: Paper<GruConfig, LanguageModel> = {
  card: {
    key: 'gru',
    title: 'Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation',
    authors: 'Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio',
    year: 2014,
    arxiv: '1406.1078',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'h_t = (1 - z_t) \\odot n_t + z_t \\odot h_{t-1}, \\quad n_t = \\tanh(W x_t + r_t \\odot U h_{t-1}), \\; r_t, z_t = \\sigma(W_{r,z} x_t + U_{r,z} h_{t-1})',
    state: 'h, E values a layer; with LSTM also c',
    cost: 'O(E (D + E) + D F), token after token',
    differs: [
      'Cells stand in residual blocks with norms and a feed-forward, as the cells that are measured against them do; the paper has one encoder and one decoder.',
      'The reset gate acts after the recurrent product, as in Chung et al. 2014 and PyTorch.',
    ],
    claim:
      'The baseline of others: at equal parameters a training step of minGRU takes less time, the more so the wider the model.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.01, groups: [vectors] },
  build,
}

export default paper
