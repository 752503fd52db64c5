import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  constant,
  equalParts,
  FeedForward,
  type LanguageModel,
  LayerNorm,
  type LayerParts,
  LearnedPositions,
  type LinearOptions,
  type NameRule,
  normalInit,
  type Rng,
} from '@mneme/core-tensor'
import { type ActivationName, activationOf, activations } from './activations.js'
import { type DecoderConfig, decoder } from './decoder.js'
import { flagOf, numberOf, type PublishedConfig } from './published.js'

/** A decoder as GPT-2 has it: learned positions, LayerNorm before each part, one activation, biases everywhere. */
export interface Gpt2Config extends DecoderConfig {
  readonly nHeads: number
  /** Inner width of the feed-forward. */
  readonly dInner: number
  /** Tokens that the table of positions has vectors for. */
  readonly positions: number
  /** `gelu` is the exact form, `gelu_new` that by tanh. */
  readonly activation: ActivationName
  /** Whether scores are divided by √K. */
  readonly scaled: boolean
  /** Whether scores of layer i, counted from 1, are divided by i too. */
  readonly scaledByLayer: boolean
  readonly normEps: number
  readonly initStd: number
}

/** A decoder in the form of GPT-2: norms before, learned positions, biases, GELU. */
export function gpt2Decoder(config: Gpt2Config): LanguageModel {
  const { dModel, initStd, normEps } = config
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new LayerNorm(dModel, normEps),
    layer: (index, rng) => gpt2Layer(config, index, rng),
    around: (body, rng) => new LearnedPositions({ dModel, positions: config.positions, std: initStd }, body, rng),
  })
}

/** A layer of GPT-2, by its index. Radford et al. 2019, section 2.3. */
export function gpt2Layer(config: Gpt2Config, index: number, rng: Rng): LayerParts {
  const { dModel, nLayers, nHeads, dInner, normEps, initStd } = config
  const projection = { init: normalInit(initStd), biasInit: zeroInit }
  // what joins the stream starts smaller the more of it there is
  const output = { ...projection, init: normalInit(initStd / Math.sqrt(2 * nLayers)) }
  const dHead = equalParts('nHeads', nHeads, 'dModel', dModel)
  return {
    mixerNorm: new LayerNorm(dModel, normEps),
    mixer: new SoftmaxAttention(
      {
        dModel,
        nHeads,
        nKvHeads: nHeads,
        dHead,
        window: 0,
        rotary: null,
        scale: (config.scaled ? dHead ** -0.5 : 1) / (config.scaledByLayer ? index + 1 : 1),
        projection,
        outProjection: output,
      },
      rng,
    ),
    mlpNorm: new LayerNorm(dModel, normEps),
    mlp: new FeedForward(dModel, dInner, rng, projection, activations[config.activation], output),
  }
}

const zeroInit: NonNullable<LinearOptions['biasInit']> = (_, shape) => constant(shape, 0)

/** From the config.json of GPT-2. @throws RangeError for settings that are not implemented */
export function readGpt2(published: PublishedConfig): Gpt2Config {
  const dModel = numberOf(published, 'n_embd')
  if (flagOf(published, 'add_cross_attention', false)) {
    throw new RangeError('config.json add_cross_attention: expected false, since there is nothing else to look at.')
  }
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers: numberOf(published, 'n_layer'),
    nHeads: numberOf(published, 'n_head'),
    dInner: numberOf(published, 'n_inner', 4 * dModel),
    positions: numberOf(published, 'n_positions', 1024),
    activation: activationOf(published, 'activation_function', 'gelu_new'),
    scaled: flagOf(published, 'scale_attn_weights', true),
    scaledByLayer: flagOf(published, 'scale_attn_by_inverse_layer_idx', false),
    normEps: numberOf(published, 'layer_norm_epsilon', 1e-5),
    initStd: numberOf(published, 'initializer_range', 0.02),
    tieEmbeddings: flagOf(published, 'tie_word_embeddings', true),
    seed: 0,
  }
}

export const publishGpt2 = (config: Gpt2Config): PublishedConfig => ({
  model_type: 'gpt2',
  architectures: ['GPT2LMHeadModel'],
  vocab_size: config.vocabulary,
  n_embd: config.dModel,
  n_layer: config.nLayers,
  n_head: config.nHeads,
  n_inner: config.dInner,
  n_positions: config.positions,
  activation_function: config.activation,
  scale_attn_weights: config.scaled,
  scale_attn_by_inverse_layer_idx: config.scaledByLayer,
  layer_norm_epsilon: config.normEps,
  initializer_range: config.initStd,
  tie_word_embeddings: config.tieEmbeddings,
})

/** Where the parts of a decoder stand that is built around GPT-2's layers. */
export interface Gpt2Places {
  /** In front of all names. */
  readonly prefix: string
  /** A layer, here and in the file. */
  readonly layers: readonly [path: string, name: string]
  readonly norm: string
  /** The table of positions, whole or by its rows. */
  readonly positions: readonly Omit<NameRule, 'name'>[]
}

const alone: Gpt2Places = {
  prefix: '',
  layers: ['body.inner.layers.{i}', 'transformer.h.{i}'],
  norm: 'norm',
  positions: [{ path: 'body.embedding.weight' }],
}

export const gpt2Names = (config: Gpt2Config, { prefix, layers, norm, positions } = alone): NameRule[] => [
  { path: 'embedding.weight', name: `${prefix}transformer.wte.weight` },
  ...positions.map((rule) => ({ ...rule, name: `${prefix}transformer.wpe.weight` })),
  ...gpt2LayerNames(config, layers[0], `${prefix}${layers[1]}`),
  { path: `${norm}.weight`, name: `${prefix}transformer.ln_f.weight` },
  { path: `${norm}.bias`, name: `${prefix}transformer.ln_f.bias` },
  { path: 'head.weight', name: `${prefix}lm_head.weight` },
]

/** Where the layers stand: weights `[in, out]`, those of queries, keys and values in one tensor. */
function gpt2LayerNames({ dModel }: Gpt2Config, path: string, name: string): NameRule[] {
  return (['weight', 'bias'] as const).flatMap((kind): NameRule[] => {
    const transpose = kind === 'weight' ? { transpose: true } : {}
    return [
      { path: `${path}.mixerNorm.${kind}`, name: `${name}.ln_1.${kind}` },
      ...(['q', 'k', 'v'] as const).map(
        (p, i): NameRule => ({
          path: `${path}.mixer.${p}Proj.${kind}`,
          name: `${name}.attn.c_attn.${kind}`,
          rows: [i * dModel, (i + 1) * dModel, 3 * dModel],
          ...transpose,
        }),
      ),
      { path: `${path}.mixer.oProj.${kind}`, name: `${name}.attn.c_proj.${kind}`, ...transpose },
      { path: `${path}.mlpNorm.${kind}`, name: `${name}.ln_2.${kind}` },
      { path: `${path}.mlp.upProj.${kind}`, name: `${name}.mlp.c_fc.${kind}`, ...transpose },
      { path: `${path}.mlp.downProj.${kind}`, name: `${name}.mlp.c_proj.${kind}`, ...transpose },
    ]
  })
}

/** Buffers of old files: the causal mask. */
export const gpt2Buffers: readonly RegExp[] = [/\.attn\.(masked_)?bias$/]
