import {
  constant,
  FeedForward,
  gelu,
  type LanguageModel,
  LayerNorm,
  type NameRule,
  normalInit,
  RMSNorm,
  type Rng,
  relu,
  SwiGLU,
  silu,
  type TokenMap,
} from '@mneme/core-tensor'
import { Retention, retentionLogDecay } from '@mneme/recurrent/retention'
import { decoder } from './decoder.js'
import { flagOf, numberOf, oneOf, type PublishedConfig } from './published.js'
import type { RetNetConfig } from './retnet.js'

export const noTorchscale: RetNetConfig['torchscale'] = {
  compute: 'recurrent',
  valueWidth: 16,
  decays: 'powers',
  gated: true,
  activation: 'gelu',
  innerNorm: 'none',
  postNorm: false,
  deepNorm: false,
  scaleEmbeddings: false,
  embeddingNorm: false,
  paddingId: null,
}

const activations = { gelu, relu, swish: silu } as const

/** Logarithms of decays from 31/32 to 511/512, evenly in the logarithm of what is lost. */
function evenLogDecay(nHeads: number): number[] {
  const [first, last] = [Math.log(1 / 32), Math.log(1 / 512)]
  const step = nHeads === 1 ? 0 : (last - first) / (nHeads - 1)
  return Array.from({ length: nHeads }, (_, h) => Math.log1p(-Math.exp(first + h * step)))
}

function feedForward({ dModel, dInner, normEps, initStd, torchscale }: RetNetConfig, rng: Rng): TokenMap {
  const { gated, activation, innerNorm } = torchscale
  const options = { init: normalInit(initStd), biasInit: (_: Rng, shape: readonly number[]) => constant(shape, 0) }
  if (gated) return new SwiGLU(dModel, dInner, rng, { ...options, bias: false }, activations[activation])
  const norms = { none: null, layer: LayerNorm, rms: RMSNorm } as const
  const Norm = norms[innerNorm]
  const norm = Norm && new Norm(dInner, normEps)
  return new FeedForward(dModel, dInner, rng, options, activations[activation], options, norm)
}

/** A decoder in the form of the authors' library: no weight in the norms by head, rotations of neighbours. */
export function torchscaleDecoder(config: RetNetConfig): LanguageModel {
  const { dModel, nHeads, nLayers, normEps, initStd, torchscale } = config
  const { postNorm, deepNorm, scaleEmbeddings, embeddingNorm, paddingId, valueWidth, compute, decays } = torchscale
  const norm = (): RMSNorm => new RMSNorm(dModel, normEps)
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    embeddingScale: scaleEmbeddings ? Math.sqrt(dModel) : 1,
    ...(embeddingNorm && { embeddingNorm: norm() }),
    unlearned: paddingId,
    norm: postNorm ? null : norm(),
    stack: { norm: postNorm ? 'post' : 'pre', residualScale: deepNorm ? (2 * nLayers) ** 0.25 : 1 },
    layer: (_, rng) => ({
      mixerNorm: norm(),
      mixer: new Retention(
        {
          ...config,
          expandK: 1,
          valueWidth,
          rotation: 'neighbours',
          logDecay: decays === 'even' ? evenLogDecay(nHeads) : retentionLogDecay(nHeads),
          rows: compute === 'parallel' ? 'by scores' : 'by decays',
          normWeight: false,
          projection: { bias: false, init: normalInit(initStd) },
        },
        rng,
      ),
      mlpNorm: norm(),
      mlp: feedForward(config, rng),
    }),
  })
}

/** As the library settles two flags that exclude each other. */
function placement(published: PublishedConfig): { postNorm: boolean; deepNorm: boolean; inner: boolean } {
  if (flagOf(published, 'deepnorm', false)) return { postNorm: true, deepNorm: true, inner: false }
  const inner = flagOf(published, 'subln', true)
  return { postNorm: !inner && !flagOf(published, 'decoder_normalize_before', true), deepNorm: false, inner }
}

/** From a configuration of torchscale. */
export function fromTorchscale(published: PublishedConfig): RetNetConfig {
  const dModel = numberOf(published, 'decoder_embed_dim')
  const dInner = numberOf(published, 'decoder_ffn_embed_dim')
  const valueWidth = numberOf(published, 'decoder_value_embed_dim')
  const gated = flagOf(published, 'use_glu', true)
  const { postNorm, deepNorm, inner } = placement(published)
  const innerNorm = gated || !inner ? 'none' : flagOf(published, 'use_ffn_rms_norm', false) ? 'rms' : 'layer'
  if (innerNorm !== 'none' && dInner !== dModel) {
    throw new RangeError(
      `config.json decoder_ffn_embed_dim: expected ${dModel}, as decoder_embed_dim, where subln is on and use_glu off, got ${dInner}.`,
    )
  }
  const compute = oneOf(published, 'forward_impl', ['parallel', 'recurrent', 'chunkwise'], 'parallel')
  return {
    vocabulary: numberOf(published, 'vocab_size'),
    dModel,
    nLayers: numberOf(published, 'decoder_layers'),
    nHeads: numberOf(published, 'decoder_retention_heads'),
    expandK: 1,
    expandV: valueWidth / dModel,
    ropeBase: 10000,
    dInner,
    normEps: numberOf(published, 'layernorm_eps', 1e-6),
    chunk: 64,
    form: 'torchscale',
    torchscale: {
      compute: compute === 'parallel' ? 'parallel' : 'recurrent',
      valueWidth,
      decays: flagOf(published, 'use_lm_decay', false) ? 'even' : 'powers',
      gated,
      activation: oneOf(published, 'activation_fn', ['gelu', 'relu', 'swish'], 'gelu'),
      innerNorm,
      postNorm,
      deepNorm,
      scaleEmbeddings: !flagOf(published, 'no_scale_embedding', true),
      embeddingNorm: flagOf(published, 'layernorm_embedding', false),
      paddingId: published.pad_token_id === null ? null : numberOf(published, 'pad_token_id', 0),
    },
    initStd: numberOf(published, 'initializer_range', 0.02),
    tieEmbeddings: flagOf(published, 'tie_word_embeddings', false),
    seed: 0,
  }
}

/** And back. */
export function toTorchscale({ torchscale, ...config }: RetNetConfig): PublishedConfig {
  return {
    model_type: 'retnet',
    architectures: ['RetNetForCausalLM'],
    vocab_size: config.vocabulary,
    decoder_embed_dim: config.dModel,
    decoder_layers: config.nLayers,
    decoder_retention_heads: config.nHeads,
    decoder_value_embed_dim: torchscale.valueWidth,
    decoder_ffn_embed_dim: config.dInner,
    layernorm_eps: config.normEps,
    forward_impl: torchscale.compute,
    use_lm_decay: torchscale.decays === 'even',
    use_glu: torchscale.gated,
    activation_fn: torchscale.activation,
    subln: torchscale.innerNorm !== 'none',
    use_ffn_rms_norm: torchscale.innerNorm === 'rms',
    decoder_normalize_before: !torchscale.postNorm,
    deepnorm: torchscale.deepNorm,
    no_scale_embedding: !torchscale.scaleEmbeddings,
    layernorm_embedding: torchscale.embeddingNorm,
    pad_token_id: torchscale.paddingId,
    initializer_range: config.initStd,
    tie_word_embeddings: config.tieEmbeddings,
  }
}

const layer = 'body.layers.{i}'
const theirs = 'model.layers.{i}'

/** The names of torchscale for every parameter. */
export function torchscaleNames({ torchscale }: RetNetConfig): readonly NameRule[] {
  const mlp = (path: string, name: string): NameRule => ({
    path: `${layer}.mlp.${path}`,
    name: `${theirs}.ffn.${name}`,
  })
  return [
    { path: 'embedding.weight', name: 'model.embed_tokens.weight' },
    { path: 'embeddingNorm.weight', name: 'model.layernorm_embedding.weight' },
    { path: `${layer}.mixerNorm.weight`, name: `${theirs}.retention_layer_norm.weight` },
    ...['q', 'k', 'v', 'g'].map((p) => ({
      path: `${layer}.mixer.${p}Proj.weight`,
      name: `${theirs}.retention.${p}_proj.weight`,
    })),
    { path: `${layer}.mixer.oProj.weight`, name: `${theirs}.retention.out_proj.weight` },
    { path: `${layer}.mlpNorm.weight`, name: `${theirs}.final_layer_norm.weight` },
    // where there is a gate, the map they call so is the one that is not activated
    ...['weight', 'bias'].flatMap((p) => [
      ...(torchscale.gated
        ? [mlp(`gateProj.${p}`, `fc1.${p}`), mlp(`upProj.${p}`, `gate.${p}`)]
        : [mlp(`upProj.${p}`, `fc1.${p}`)]),
      mlp(`downProj.${p}`, `fc2.${p}`),
      mlp(`innerNorm.${p}`, `ffn_layernorm.${p}`),
    ]),
    { path: 'norm.weight', name: 'model.layer_norm.weight' },
    { path: 'head.weight', name: 'lm_head.weight' },
  ]
}
