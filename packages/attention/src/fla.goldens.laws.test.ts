import { eluPlusOne, type NameRule, type Rng, relu, type SequenceMixer, silu } from '@mneme/core-tensor'
import { describeDecoder, flaNames, type GoldenDecoder, goldenDecoder } from '@mneme/testing/decoder-goldens'
import { type Golden, goldens } from '@mneme/testing/goldens'
import type { Tensor } from '@tensorflow/tfjs-core'
import { DeltaNet } from './delta-net.js'
import { ForgettingAttention } from './forgetting-attention.js'
import { GatedDeltaNet } from './gated-delta-net.js'
import { GLA } from './gated-linear-attention.js'

type Config = Readonly<Record<string, unknown>>

const number = (config: Config, key: string, fallback = 0): number => (config[key] as number | null) ?? fallback
const activations = { silu, relu, elu: eluPlusOne, identity: (x: Tensor): Tensor => x }

interface Layout {
  readonly mixer: (config: Config, rng: Rng) => SequenceMixer
  /** Letters of the linear maps and of the convolutions that are named alike. */
  readonly letters: string
  readonly others: Readonly<Record<string, string>>
}

const widths = (config: Config) => ({
  dModel: number(config, 'hidden_size'),
  nHeads: number(config, 'num_heads'),
  normEps: number(config, 'norm_eps', 1e-6),
})

const layouts: Readonly<Record<string, Layout>> = {
  gla: {
    mixer: (config, rng) =>
      new GLA(
        {
          ...widths(config),
          nKvHeads: number(config, 'num_kv_heads', number(config, 'num_heads')),
          expandK: number(config, 'expand_k', 0.5),
          expandV: number(config, 'expand_v', 1),
          gateRank: 16,
          gateTemperature: 16,
          minLogDecay: config.clamp_min as number | null,
          convWidth: config.use_short_conv ? number(config, 'conv_size', 4) : 0,
          featureMap: null,
          outputGate: config.use_output_gate as boolean,
          chunk: 8,
        },
        rng,
      ),
    letters: 'qkvgo',
    others: {
      'gkProj.{j}.weight': 'gk_proj.{j}.weight',
      'gkProj.{j}.bias': 'gk_proj.{j}.bias',
      'gNorm.weight': 'g_norm_swish_gate.weight',
    },
  },
  delta_net: {
    mixer: (config, rng) =>
      new DeltaNet(
        {
          ...widths(config),
          expandK: number(config, 'expand_k', 1),
          expandV: number(config, 'expand_v', 1),
          convWidth: config.use_short_conv ? number(config, 'conv_size', 4) : 0,
          qkActivation: activations[(config.qk_activation as keyof typeof activations) ?? 'silu'],
          qkNorm: config.qk_norm === 'sum' ? 'sum' : 'length',
          learnedBeta: config.use_beta as boolean,
          allowNegEigval: config.allow_neg_eigval as boolean,
          outputGate: config.use_gate as boolean,
          chunk: 8,
        },
        rng,
      ),
    letters: 'qkvgbo',
    others: { 'oNorm.weight': 'o_norm.weight' },
  },
  forgetting_transformer: {
    mixer: (config, rng) =>
      new ForgettingAttention(
        {
          ...widths(config),
          nKvHeads: number(config, 'num_kv_heads', number(config, 'num_heads')),
          dHead: number(config, 'hidden_size') / number(config, 'num_heads'),
          gate: { from: 'token' },
          rotary: null,
          qkNormEps: config.qk_norm ? 1e-5 : null,
          kvShift: false,
          outputNormEps: null,
          outputGate: config.use_output_gate as boolean,
          projection: { bias: config.qkv_bias as boolean },
        },
        rng,
      ),
    letters: 'qkvfgo',
    others: { 'qNorm.weight': 'q_norm.weight', 'kNorm.weight': 'k_norm.weight' },
  },
  gated_deltanet: {
    mixer: (config, rng) =>
      new GatedDeltaNet(
        {
          ...widths(config),
          nVHeads: number(config, 'num_v_heads', number(config, 'num_heads')),
          dHead: number(config, 'head_dim', 256),
          expandV: number(config, 'expand_v', 2),
          convWidth: number(config, 'conv_size', 4),
          outputGate: config.use_gate as boolean,
          allowNegEigval: config.allow_neg_eigval as boolean,
          chunk: 8,
        },
        rng,
      ),
    letters: 'qkvgabo',
    others: { 'oNorm.weight': 'o_norm.weight', logRate: 'A_log', rateBias: 'dt_bias' },
  },
}

const rulesOf = ({ letters, others }: Layout): NameRule[] => [
  ...[...letters].flatMap((p) => [
    { path: `${p}Proj.weight`, name: `attn.${p}_proj.weight` },
    { path: `${p}Proj.bias`, name: `attn.${p}_proj.bias` },
    { path: `${p}Conv.weight`, name: `attn.${p}_conv1d.weight`, squeeze: 1 },
  ]),
  ...Object.entries(others).map(([path, name]) => ({ path, name: `attn.${name}` })),
]

/** The authors' decoder around a mixer, with their weights. */
const loaded = (golden: Golden, layout: Layout): GoldenDecoder => {
  const config = golden.json('config')
  // without its gate, or unfused, the norm of GLA has a shorter name
  const short = [...golden.read('model').keys()].some((name) => name.endsWith('.g_norm.weight'))
  const others = short ? { ...layout.others, 'gNorm.weight': 'g_norm.weight' } : layout.others
  return goldenDecoder(golden, flaNames, {
    mixer: (rng) => layout.mixer(config, rng),
    rules: rulesOf({ ...layout, others }),
    normEps: widths(config).normEps,
  })
}

for (const golden of goldens()) {
  if (!golden.files.includes('config.json') || !golden.files.includes('grads.safetensors')) continue
  const layout = layouts[golden.json('config').model_type as string]
  if (layout !== undefined) describeDecoder(golden, () => loaded(golden, layout))
}
