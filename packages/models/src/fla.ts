import {
  type CheckpointLayout,
  type LanguageModel,
  type LinearOptions,
  type NameRule,
  normalInit,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  SwiGLU,
} from '@mneme/core-tensor'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'

/** What all decoders of flash-linear-attention have, whatever mixes their tokens. */
export interface FlaConfig extends DecoderConfig {
  /** Inner width of the SwiGLU feed-forward. */
  readonly dInner: number
  readonly normEps: number
  /** Deviation of the initial weights. */
  readonly initStd: number
}

/** A decoder in the block of flash-linear-attention: RMSNorm before each part, SwiGLU, linear maps without bias. */
export function flaDecoder(
  config: FlaConfig,
  mixer: (projection: LinearOptions, rng: Rng, layer: number) => SequenceMixer,
): LanguageModel {
  const { dModel, dInner, normEps, initStd } = config
  const projection = { bias: false, init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (layer, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer: mixer(projection, rng, layer),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, projection),
    }),
  })
}

export interface FlaLayout<C extends FlaConfig> {
  readonly modelType: string
  readonly architecture: string
  /** The mixer's own settings, from those of the file and back. */
  readonly read: (published: PublishedConfig, shared: FlaConfig) => Omit<C, keyof FlaConfig>
  readonly write: (config: C) => PublishedConfig
  /** Where the mixer's parameters stand. */
  readonly mixer: () => readonly NameRule[]
  /** Whether a configuration has a published form; all have where this is absent. */
  readonly covers?: (config: C) => boolean
}

/** The published layout of a decoder of flash-linear-attention, from what its mixer adds to the shared one. */
export function flaLayout<C extends FlaConfig>(layout: FlaLayout<C>): CheckpointLayout<C> {
  return {
    modelTypes: [layout.modelType],
    ...(layout.covers && { covers: layout.covers }),
    config(published) {
      oneOf(published, 'hidden_act', ['swish', 'silu'], 'swish')
      const dModel = numberOf(published, 'hidden_size')
      const shared: FlaConfig = {
        vocabulary: numberOf(published, 'vocab_size'),
        dModel,
        nLayers: numberOf(published, 'num_hidden_layers'),
        dInner: numberOf(published, 'intermediate_size', innerWidth(dModel, numberOf(published, 'hidden_ratio', 4))),
        normEps: numberOf(published, 'norm_eps', 1e-6),
        tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
        initStd: numberOf(published, 'initializer_range', 0.02),
        seed: 0,
      }
      return { ...shared, ...layout.read(published, shared) } as C
    },
    publish: (config) => ({
      model_type: layout.modelType,
      architectures: [layout.architecture],
      vocab_size: config.vocabulary,
      hidden_size: config.dModel,
      num_hidden_layers: config.nLayers,
      intermediate_size: config.dInner,
      norm_eps: config.normEps,
      hidden_act: 'swish',
      tie_word_embeddings: config.tieEmbeddings,
      initializer_range: config.initStd,
      ...layout.write(config),
    }),
    names: () => [
      { path: 'embedding.weight', name: 'model.embeddings.weight' },
      { path: 'body.layers.{i}.mixerNorm.weight', name: 'model.layers.{i}.attn_norm.weight' },
      ...layout.mixer(),
      { path: 'body.layers.{i}.mlpNorm.weight', name: 'model.layers.{i}.mlp_norm.weight' },
      ...(['gate', 'up', 'down'] as const).map((p) => ({
        path: `body.layers.{i}.mlp.${p}Proj.weight`,
        name: `model.layers.{i}.mlp.${p}_proj.weight`,
      })),
      { path: 'norm.weight', name: 'model.norm.weight' },
      { path: 'head.weight', name: 'lm_head.weight' },
    ],
  }
}

/** A parameter of the mixer, by its path in ours and in theirs. */
export const inMixer = (path: string, name: string, rest: Partial<NameRule> = {}): NameRule => ({
  path: `body.layers.{i}.mixer.${path}`,
  name: `model.layers.{i}.attn.${name}`,
  ...rest,
})

/** Linear maps `qProj.weight` here, `q_proj.weight` there, by their letters. */
export const projections = (...letters: readonly string[]): NameRule[] =>
  letters.map((p) => inMixer(`${p}Proj.weight`, `${p}_proj.weight`))

/** Short convolutions `qConv.weight` here, `q_conv1d.weight` there, which PyTorch gives an axis more. */
export const convolutions = (...letters: readonly string[]): NameRule[] =>
  letters.map((p) => inMixer(`${p}Conv.weight`, `${p}_conv1d.weight`, { squeeze: 1 }))

/** Width of the feed-forward where config.json names none: two thirds of the ratio, up to a multiple of 256. */
function innerWidth(dModel: number, hiddenRatio: number): number {
  return 256 * Math.ceil(Math.trunc((dModel * hiddenRatio * 2) / 3) / 256)
}
