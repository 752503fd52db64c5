import { InfiniAttention } from '@mneme/attention/infini-attention'
import {
  type BaseConfig,
  type CheckpointLayout,
  Embedding,
  gelu,
  LanguageModel,
  Linear,
  type NameRule,
  type Paper,
  RMSNorm,
  Rng,
  residualStack,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { ifUsed } from './if-used.js'
import { flagOf, numberOf } from './published.js'
import { vectors } from './recipes.js'

export interface InfiniConfig extends BaseConfig {
  readonly dModel: number
  readonly nLayers: number
  readonly nHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Tokens of a segment. */
  readonly segment: number
  /** Whether what the memory already gives for a key is taken off the value that is written. */
  readonly deltaRule: boolean
  /** What the sigmoid of the gate multiplies; the port has it the other way round. */
  readonly gateOn: 'memory' | 'local'
  /** Whether the first segment, which has no memory, is gated too; not in the port. */
  readonly gateFirst: boolean
  /** Initial gate of every head, before its sigmoid. */
  readonly gateInit: number
  /** Whether the frequencies of positions are stored with the weights, as in the port. */
  readonly storedFrequencies: boolean
}

/** The port has a norm of x / ‖x‖, which nothing else holds up. */
const NORM_EPS = 1e-20

function build(config: InfiniConfig): LanguageModel {
  const { vocabulary, dModel, nLayers, dHead, dInner, storedFrequencies } = config
  const rng = new Rng(config.seed)
  const norm = (): RMSNorm => new RMSNorm(dModel, NORM_EPS)
  const rotary = storedFrequencies ? 'stored' : ({ dims: dHead, layout: 'interleaved' } as const)
  return new LanguageModel({
    embedding: new Embedding(vocabulary, dModel, rng.fork('embedding'), 1),
    body: residualStack(
      Array.from({ length: nLayers }, (_, i) => {
        const own = rng.fork(`layer ${i}`)
        return {
          mixerNorm: norm(),
          mixer: new InfiniAttention({ ...config, rotary }, own),
          mlpNorm: norm(),
          mlp: new SwiGLU(dModel, dInner, own, { bias: true }, gelu),
        }
      }),
    ),
    norm: norm(),
    head: new Linear(dModel, vocabulary, rng.fork('head')),
  })
}

/** The public PyTorch port, lucidrains/infini-transformer-pytorch. */
const checkpoint: CheckpointLayout<InfiniConfig> = {
  modelTypes: ['InfiniTransformer'],
  covers: ({ gateOn, gateFirst, storedFrequencies }) => gateOn === 'local' && !gateFirst && storedFrequencies,
  config(published) {
    const dModel = numberOf(published, 'dim')
    return {
      vocabulary: numberOf(published, 'num_tokens'),
      dModel,
      nLayers: numberOf(published, 'depth'),
      nHeads: numberOf(published, 'heads', 8),
      dHead: numberOf(published, 'dim_head', 128),
      dInner: Math.trunc((numberOf(published, 'ff_mult', 4) * dModel * 2) / 3),
      segment: numberOf(published, 'segment_length'),
      deltaRule: flagOf(published, 'use_mem_delta_rule', false),
      gateOn: 'local',
      gateFirst: false,
      gateInit: 10,
      storedFrequencies: true,
      seed: 0,
    }
  },
  publish: (config) => ({
    reference:
      'lucidrains/infini-transformer-pytorch, infini_transformer_pytorch/infini_transformer.py, InfiniTransformer',
    num_tokens: config.vocabulary,
    dim: config.dModel,
    depth: config.nLayers,
    dim_head: config.dHead,
    heads: config.nHeads,
    // the library takes whole parts: a little more gives the same width back
    ff_mult: (3 * config.dInner + 1) / (2 * config.dModel),
    use_mem_delta_rule: config.deltaRule,
    segment_length: config.segment,
  }),
  names({ nHeads, dHead, dInner }): readonly NameRule[] {
    const layer = 'body.layers.{i}'
    const width = nHeads * dHead
    const part = (path: string, name: string, n: number, of: number, rows: number): NameRule => ({
      path: `${layer}.${path}`,
      name: `layers.{i}.${name}`,
      rows: [n * rows, (n + 1) * rows, of * rows],
    })
    return [
      { path: 'embedding.weight', name: 'token_emb.weight' },
      { path: `${layer}.mixerNorm.weight`, name: 'layers.{i}.0.norm.gamma' },
      ...['q', 'k', 'v'].map((kind, n) => part(`mixer.${kind}Proj.weight`, '0.to_qkv.weight', n, 3, width)),
      { path: `${layer}.mixer.oProj.weight`, name: 'layers.{i}.0.to_out.weight' },
      { path: `${layer}.mixer.gate`, name: 'layers.{i}.0.fastweight_mem.head_gates' },
      { path: `${layer}.mixer.frequencies`, name: 'layers.{i}.0.rotary_emb.freqs' },
      { path: `${layer}.mlpNorm.weight`, name: 'layers.{i}.1.norm.gamma' },
      ...['weight', 'bias'].flatMap((kind) => [
        part(`mlp.upProj.${kind}`, `1.proj_in.${kind}`, 0, 2, dInner),
        part(`mlp.gateProj.${kind}`, `1.proj_in.${kind}`, 1, 2, dInner),
        { path: `${layer}.mlp.downProj.${kind}`, name: `layers.{i}.1.proj_out.${kind}` },
        { path: `head.${kind}`, name: `to_logits.${kind}` },
      ]),
      { path: 'norm.weight', name: 'norm.gamma' },
    ]
  },
}

const tiny: InfiniConfig = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  dHead: 4,
  dInner: 8,
  segment: 4,
  deltaRule: false,
  gateOn: 'memory',
  gateFirst: true,
  gateInit: 0,
  storedFrequencies: false,
  seed: 0,
}

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, InfiniConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'delta rule': { ...tiny, deltaRule: true },
  port: { ...tiny, deltaRule: true, gateOn: 'local', gateFirst: false, gateInit: 1, storedFrequencies: true },
}))

const defaults: InfiniConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  dHead: 16,
  dInner: 176,
  segment: 64,
}))

/**
 * Infini-attention: Munkhdalai et al. 2024, arXiv:2404.07143. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function infiniAttention(config: Partial<InfiniConfig> = {}): LanguageModel {
  return build(withDefaults('infiniAttention', defaults, config))
}

const paper: Paper<InfiniConfig, LanguageModel> = {
  card: {
    key: 'infini-attention',
    title: 'Leave No Context Behind: Efficient Infinite Context Transformers with Infini-attention',
    authors: 'Munkhdalai, Faruqui, Gopal',
    year: 2024,
    arxiv: '2404.07143',
    kind: 'language model',
    family: 'attention',
    equation:
      'A = \\sigma(\\beta) \\odot \\frac{\\phi(Q) M}{\\phi(Q) z} + (1 - \\sigma(\\beta)) \\odot \\operatorname{softmax}\\!\\left(\\tfrac{Q K^\\top}{\\sqrt{d}}\\right) V, \\quad M \\leftarrow M + \\phi(K)^\\top V',
    state: 'M and z, H K (K + 1) values a layer; keys and values of the open segment, 2 L H K',
    cost: 'O(D² + (L + K) H K)',
    differs: [
      'Gates start at 0, an equal mix; the paper does not say.',
      'In the first segment, where there is no memory, local attention is gated all the same, as the equations have it.',
      'Gradients go through all segments of a sequence.',
      'Norms and feed-forward, which the paper leaves open, are those of the public port.',
      'gateOn "local", gateFirst false and storedFrequencies: the port, whose checkpoints load.',
    ],
    claim:
      'Pass-key retrieval, segments of 64, T = 1024, 2 layers: solved, where sliding-window attention of the same state is at chance.',
  },
  config: defaults,
  tiny,
  // many runs do not converge unless the gates learn fast
  recipe: {
    lr: 3e-3,
    weightDecay: 0.01,
    groups: [{ match: /\.mixer\.gate$/, lrScale: 10, weightDecay: 0 }, vectors],
  },
  build,
  checkpoint,
}

export default paper
