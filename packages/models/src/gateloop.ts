import {
  type CheckpointLayout,
  FeedForward,
  type LanguageModel,
  LayerNorm,
  type NameRule,
  type Paper,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  type TokenMap,
  withDefaults,
} from '@mneme/core-tensor'
import { GateLoop } from '@mneme/recurrent/gateloop'
import { SimpleGateLoop } from '@mneme/recurrent/simple-gateloop'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

export interface GateloopConfig extends DecoderConfig {
  /** Linear attention with gated transitions, or its plainest form: one real gate a channel, no output map. */
  readonly variant: 'gateloop' | 'simple'
  /** Width of queries, keys and values, all heads together. */
  readonly dInner: number
  /** As many as dInner: one complex number a channel. */
  readonly nHeads: number
  /** How a gate's two values make a transition: the paper's way, the common port's, or with less to them. */
  readonly transition: 'complex' | 'polar' | 'real' | 'none'
  readonly outputGate: boolean
  /** Whether the readout is normalised before its gate; in 'simple', whether it is at all. */
  readonly subNorm: boolean
  /** Share of its gradient that the gate passes back, instead of a learning rate of its own. */
  readonly gateGradient: number
  /** Inner width of the feed-forward over model width; 0 for none. */
  readonly ffMult: number
  /** Whether norms stand behind each part rather than in front. */
  readonly postNorm: boolean
  readonly chunk: number
}

/** A unit vector times sqrt(D): PyTorch's floor of the length is 1e-12. */
const FLOOR = 1e-24

function build(config: GateloopConfig): LanguageModel {
  const { variant, dModel, ffMult, postNorm } = config
  const norm = (): TokenMap => (postNorm ? new LayerNorm(dModel) : new RMSNorm(dModel, FLOOR))
  const mixer = (rng: Rng): SequenceMixer =>
    variant === 'simple' ? new SimpleGateLoop({ dModel, postNorm: config.subNorm }, rng) : new GateLoop(config, rng)
  return decoder(config, {
    embeddingStd: 1,
    norm: postNorm ? null : norm(),
    stack: { norm: postNorm ? 'post' : 'pre' },
    layer: (_, rng) => ({
      // the plainest form has a norm of its own
      mixerNorm: variant === 'simple' && !postNorm ? null : norm(),
      mixer: mixer(rng),
      ...(ffMult > 0 && { mlpNorm: norm(), mlp: new FeedForward(dModel, Math.trunc(dModel * ffMult), rng) }),
    }),
  })
}

const checkpoint: CheckpointLayout<GateloopConfig> = {
  modelTypes: ['Transformer'],
  covers: ({ variant, ffMult, tieEmbeddings }) => variant === 'gateloop' && ffMult > 0 && !tieEmbeddings,
  config(published) {
    if (!flagOf(published, 'use_gate_looped_attn', true)) {
      throw new RangeError('config.json use_gate_looped_attn: expected true, got false. Attention layers are not here.')
    }
    for (const key of ['ablate_complex', 'ablate_state_transition']) {
      if (flagOf(published, key, false)) throw new RangeError(`config.json ${key}: expected false, got true.`)
    }
    const dModel = numberOf(published, 'dim')
    const dInner = numberOf(published, 'dim_gate_looped_attn', dModel)
    return {
      vocabulary: numberOf(published, 'num_tokens'),
      dModel,
      nLayers: numberOf(published, 'depth'),
      variant: 'gateloop',
      dInner,
      nHeads: numberOf(published, 'gate_loop_heads', dInner),
      transition: oneOf(published, 'transition', ['complex', 'polar', 'real', 'none'], 'polar'),
      outputGate: flagOf(published, 'attn_add_swish_gating', true),
      subNorm: flagOf(published, 'sub_ln', false),
      gateGradient: numberOf(published, 'frac_gradient_state_transition', 0.9),
      ffMult: numberOf(published, 'ff_mult', 4),
      postNorm: flagOf(published, 'post_ln_norm', false),
      chunk: 64,
      tieEmbeddings: false,
      seed: 0,
    }
  },
  publish: (config) => ({
    reference: 'lucidrains/gateloop-transformer, gateloop_transformer/gateloop_transformer.py, Transformer',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    depth: config.nLayers,
    dim_gate_looped_attn: config.dInner,
    gate_loop_heads: config.nHeads,
    transition: config.transition,
    attn_add_swish_gating: config.outputGate,
    sub_ln: config.subNorm,
    frac_gradient_state_transition: config.gateGradient,
    ff_mult: config.ffMult,
    post_ln_norm: config.postNorm,
  }),
  names({ postNorm }): readonly NameRule[] {
    const layer = 'body.layers.{i}'
    const weight = postNorm ? 'weight' : 'gamma'
    const both = ['weight', 'bias'] as const
    return [
      { path: 'embedding.weight', name: 'token_emb.weight' },
      { path: `${layer}.mixerNorm.weight`, name: `layers.{i}.0.norm.${weight}` },
      { path: `${layer}.mixerNorm.bias`, name: 'layers.{i}.0.norm.bias' },
      { path: `${layer}.mixer.qkvProj.weight`, name: 'layers.{i}.0.fn.to_qkv.weight' },
      ...both.map((p) => ({ path: `${layer}.mixer.aProj.${p}`, name: `layers.{i}.0.fn.to_a.0.${p}` })),
      { path: `${layer}.mixer.gProj.weight`, name: 'layers.{i}.0.fn.to_gates.0.weight' },
      ...both.map((p) => ({ path: `${layer}.mixer.subNorm.${p}`, name: `layers.{i}.0.fn.maybe_sub_ln.${p}` })),
      { path: `${layer}.mixer.outProj.weight`, name: 'layers.{i}.0.fn.to_out.weight' },
      { path: `${layer}.mlpNorm.weight`, name: `layers.{i}.1.norm.${weight}` },
      { path: `${layer}.mlpNorm.bias`, name: 'layers.{i}.1.norm.bias' },
      ...both.flatMap((p) => [
        { path: `${layer}.mlp.upProj.${p}`, name: `layers.{i}.1.fn.0.${p}` },
        { path: `${layer}.mlp.downProj.${p}`, name: `layers.{i}.1.fn.2.${p}` },
      ]),
      { path: 'norm.weight', name: 'to_logits.0.gamma' },
      { path: 'head.weight', name: postNorm ? 'to_logits.weight' : 'to_logits.1.weight' },
    ]
  },
}

const defaults: GateloopConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  variant: 'gateloop',
  dInner: 64,
  nHeads: 64,
  transition: 'complex',
  outputGate: true,
  subNorm: false,
  gateGradient: 1,
  ffMult: 4,
  postNorm: false,
  chunk: 64,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: GateloopConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  variant: 'gateloop',
  dInner: 8,
  nHeads: 4,
  transition: 'polar',
  outputGate: true,
  subNorm: true,
  gateGradient: 1,
  ffMult: 2,
  postNorm: false,
  chunk: 4,
  tieEmbeddings: false,
  seed: 0,
}

/**
 * GateLoop: Katsch 2023, arXiv:2311.01927. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function gateloop(config: Partial<GateloopConfig> = {}): LanguageModel {
  return build(withDefaults('gateloop', defaults, config))
}

const paper: Paper<GateloopConfig, LanguageModel> = {
  card: {
    key: 'gateloop',
    title: 'GateLoop: Fully Data-Controlled Linear Recurrence for Sequence Modeling',
    authors: 'Katsch',
    year: 2023,
    arxiv: '2311.01927',
    kind: 'language model',
    family: 'recurrent',
    equation:
      'S_t = a_t S_{t-1} + k_t v_t^\\top, \\quad y_t = \\mathrm{Re}(S_t^\\top q_t), \\quad a_t = \\sigma(\\alpha_t) e^{i \\beta_t}',
    state: 'S, 2 E² / H values a layer',
    cost: 'O(D E + E² / H)',
    differs: [
      'Layer and block are those of the common port, whose files have transitions of kind polar: magnitudes of at least one half.',
      'A lower learning rate for transitions is, as in that port, a share of their gradient: gateGradient, 1 unless set. Files say 0.9 where they say nothing.',
      "variant: 'simple' is the port's reduced layer. Its attention layers and ablations are refused; transition: 'real' and 'none' stand for the latter.",
    ],
    claim:
      'Memory horizon (answers depend on the tokens since the last reset symbol): transitions that the token decides on beat the same model with constant ones.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.05,
    groups: [vectors],
  },
  build,
  checkpoint,
}

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, GateloopConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'one number a channel, norms behind': {
    ...tiny,
    dInner: 6,
    nHeads: 6,
    transition: 'complex',
    outputGate: false,
    subNorm: false,
    postNorm: true,
  },
  'the plainest form': { ...tiny, variant: 'simple', ffMult: 0, tieEmbeddings: true },
}))

export default paper
