import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  Embedding,
  LanguageModel,
  Linear,
  type Paper,
  RMSNorm,
  Rng,
  type SequenceMixer,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { MemoryAsContext } from '@mneme/memory/memory-as-context'
import { MemoryAsGate, MemoryAsLayer } from '@mneme/memory/memory-beside-attention'
import { NeuralMemory } from '@mneme/memory/neural-memory'
import { PersistentTokens } from '@mneme/memory/persistent-tokens'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'
import { checkpoint } from './titans-checkpoint.js'
import { PortBody } from './titans-port.js'

export interface TitansConfig extends DecoderConfig {
  /** Memory alone; in the context, as a gate or as a layer of attention; or in its context as the titans-pytorch port has it. */
  readonly variant: 'lmm' | 'mac' | 'mag' | 'mal' | 'mac-port'
  /** Heads of the attention, and their width. */
  readonly nHeads: number
  readonly dHead: number
  /** Tokens that attention sees, and persistent ones that it always sees. */
  readonly segment: number
  readonly persistent: number
  readonly ropeBase: number
  /** Heads of a memory, and the width of their keys and values. */
  readonly memoryHeads: number
  readonly memoryWidth: number
  /** Layers of a memory's network, and its inner width over `memoryWidth`. */
  readonly memoryDepth: number
  readonly memoryExpansion: number
  /** Whether that network is x + LN(MLP x) ⊙ (1 + γ) rather than the MLP alone. */
  readonly memoryNorm: boolean
  /** Tokens whose gradients are taken at the same weights; in the port, tokens of one update. */
  readonly chunk: number
  readonly momentum: boolean
  /** Largest step size of a memory. */
  readonly maxLr: number
  /** Width of the convolutions in front of a memory; the port has none. */
  readonly convWidth: number
  /** How a memory's error adds up over features; the port takes the mean. */
  readonly lossReduction: 'sum' | 'mean'
  /** Inner width of the feed-forward over two thirds of the model's. */
  readonly ffMult: number
  readonly normEps: number
  /** What only 'mac-port' has. */
  readonly port: {
    /** Long-term tokens behind each segment. */
    readonly longterm: number
    /** Layers that have a memory, counted from 0; null for all. */
    readonly memoryLayers: readonly number[] | null
    /** Whether attention sees the last positions rather than those of its own window. */
    readonly sliding: boolean
    /** Whether what a memory recalls gates attention rather than being added to the stream. */
    readonly gateAttention: boolean
    /** Whether memories take their gradients at weights that the memory before adds to. */
    readonly weightResidual: boolean
    /** Positions after which gradients are taken at the latest weights; 0 for never. */
    readonly refresh: number
    readonly maxGradNorm: number
    readonly qkNorm: boolean
    readonly readNorm: boolean
    readonly transitionGate: boolean
  }
}

type CommonConfig = Omit<TitansConfig, 'variant' | 'port'>
type PortConfig = CommonConfig & Pick<TitansConfig, 'port'>
type Build<C = CommonConfig> = (config: C) => LanguageModel

/** The shape of the memories' networks. */
const memoryOf = (config: CommonConfig) => ({
  ...config,
  nHeads: config.memoryHeads,
  dHead: config.memoryWidth,
  depth: config.memoryDepth,
  expansion: config.memoryExpansion,
  innerNorm: config.memoryNorm,
})
const innerOf = ({ ffMult, dModel }: CommonConfig): number => Math.trunc((ffMult * dModel * 2) / 3)

/** A decoder whose layers mix by a memory, alone or with what is put around it. */
const withMemory =
  (mixer: (memory: NeuralMemory, config: CommonConfig, rng: Rng) => SequenceMixer): Build =>
  (config) => {
    const { dModel, normEps } = config
    return decoder(config, {
      embeddingStd: 0.02,
      norm: new RMSNorm(dModel, normEps),
      layer: (_, rng) => ({
        mixerNorm: new RMSNorm(dModel, normEps),
        mixer: mixer(new NeuralMemory(memoryOf(config), rng), config, rng),
        mlpNorm: new RMSNorm(dModel, normEps),
        mlp: new SwiGLU(dModel, innerOf(config), rng),
      }),
    })
  }

/** The same with a window of attention beside the memory, and persistent tokens ahead of both. */
const besideAttention = (
  join: (memory: NeuralMemory, attention: SoftmaxAttention, config: CommonConfig) => SequenceMixer,
): Build =>
  withMemory((memory, config, rng) => {
    const { dModel, nHeads, dHead, persistent, segment, ropeBase } = config
    // persistent tokens come first, and so are the keys that stay visible beyond the window
    const sliding = { window: segment, sinks: persistent, rotary: { dims: dHead, base: ropeBase } }
    const attention = new SoftmaxAttention({ dModel, nHeads, nKvHeads: nHeads, dHead, ...sliding }, rng)
    return new PersistentTokens(join(memory, attention, config), { dModel, count: persistent }, rng)
  })

const lmm: Build = (config) => withMemory((memory) => memory)(config)
const mac: Build = (config) => withMemory((memory, _, rng) => new MemoryAsContext(memory, config, rng))(config)
const mag: Build = (config) =>
  besideAttention((memory, attention) => new MemoryAsGate(memory, attention, config))(config)
const mal: Build = (config) =>
  besideAttention((memory, attention) => new MemoryAsLayer(memory, attention, config.dModel))(config)

const macPort: Build<PortConfig> = (config) => {
  const { dModel, port, normEps } = config
  const rng = new Rng(config.seed)
  const memoryLayers = port.memoryLayers ?? Array.from({ length: config.nLayers }, (_, i) => i)
  const memory = { ...memoryOf(config), ...port }
  return new LanguageModel({
    embedding: new Embedding(config.vocabulary, dModel, rng.fork('embedding')),
    body: new PortBody({ ...config, ...port, dInner: innerOf(config), memoryLayers, memory }, rng.fork('body')),
    norm: new RMSNorm(dModel, normEps),
    head: config.tieEmbeddings ? null : new Linear(dModel, config.vocabulary, rng.fork('head'), { bias: false }),
  })
}

const build: Build<TitansConfig> = (config) => ({ lmm, mac, mag, mal, 'mac-port': macPort })[config.variant](config)

/** What all forms have, and the sizes that they start from. */
const common: CommonConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  segment: 32,
  persistent: 4,
  ropeBase: 10000,
  memoryHeads: 1,
  memoryWidth: 32,
  memoryDepth: 2,
  memoryExpansion: 2,
  memoryNorm: false,
  chunk: 16,
  momentum: true,
  maxLr: 0.03,
  convWidth: 4,
  lossReduction: 'sum',
  ffMult: 4,
  normEps: 1e-6,
  tieEmbeddings: true,
  seed: 0,
}

const portDefaults: TitansConfig['port'] = {
  longterm: 4,
  memoryLayers: null,
  sliding: false,
  gateAttention: false,
  weightResidual: false,
  refresh: 0,
  maxGradNorm: 0,
  qkNorm: false,
  readNorm: false,
  transitionGate: false,
}

const defaults: TitansConfig = /* @__PURE__ */ ifUsed(() => ({ variant: 'lmm', ...common, port: portDefaults }))

const tiny: TitansConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  variant: 'mac',
  vocabulary: 11,
  dModel: 6,
  nLayers: 1,
  nHeads: 1,
  dHead: 4,
  segment: 6,
  persistent: 1,
  ropeBase: 100,
  memoryWidth: 4,
  memoryExpansion: 1.5,
  memoryNorm: true,
  chunk: 4,
  convWidth: 2,
  ffMult: 2,
  tieEmbeddings: false,
}))

const tinyPort: TitansConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  variant: 'mac-port',
  segment: 4,
  memoryHeads: 2,
  chunk: 2,
  maxLr: 0.3,
  normEps: 2 ** -23,
  port: { ...portDefaults, longterm: 1 },
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, TitansConfig>> = /* @__PURE__ */ ifUsed(() => ({
  lmm: { ...tiny, variant: 'lmm', memoryHeads: 2, momentum: false, memoryNorm: false, tieEmbeddings: true },
  mag: { ...tiny, variant: 'mag', memoryHeads: 2, segment: 5, persistent: 2 },
  mal: { ...tiny, variant: 'mal', memoryNorm: false, segment: 5, persistent: 0 },
  'mac-port': tinyPort,
  'mac-port, every option': {
    ...tinyPort,
    nLayers: 2,
    segment: 8,
    persistent: 0,
    memoryNorm: false,
    chunk: 4,
    port: {
      longterm: 2,
      memoryLayers: [0, 1],
      sliding: true,
      gateAttention: true,
      weightResidual: true,
      refresh: 8,
      maxGradNorm: 0.3,
      qkNorm: true,
      readNorm: true,
      transitionGate: true,
    },
  },
}))

/**
 * Titans: Behrouz et al. 2025, arXiv:2501.00663, in the form that `variant` names. `config` is laid over the defaults.
 * A bundle with this has all five; the others here have one each.
 *
 * @throws RangeError for a key that does not exist
 */
export function titans(config: Partial<TitansConfig> = {}): LanguageModel {
  return build(withDefaults('titans', defaults, config))
}

const form =
  <More extends object>(name: string, build: Build<CommonConfig & More>, more: More) =>
  (config: Partial<CommonConfig & More> = {}): LanguageModel =>
    build(withDefaults(name, { ...common, ...more }, config))

/** Titans, the memory alone: section 4.3. @throws RangeError for a key that does not exist */
export const titansLmm = /* @__PURE__ */ form('titansLmm', lmm, {})
/** Titans, memory as context: section 4.1. @throws RangeError for a key that does not exist */
export const titansMac = /* @__PURE__ */ form('titansMac', mac, {})
/** Titans, memory as a gate: section 4.2. @throws RangeError for a key that does not exist */
export const titansMag = /* @__PURE__ */ form('titansMag', mag, {})
/** Titans, memory as a layer: section 4.3. @throws RangeError for a key that does not exist */
export const titansMal = /* @__PURE__ */ form('titansMal', mal, {})
/** Titans, memory as context as the titans-pytorch port has it. @throws RangeError for a key that does not exist */
export const titansMacPort = /* @__PURE__ */ form('titansMacPort', macPort, { port: portDefaults })

const paper: Paper<TitansConfig, LanguageModel> = {
  card: {
    key: 'titans',
    title: 'Titans: Learning to Memorize at Test Time',
    authors: 'Behrouz, Zhong, Mirrokni',
    year: 2025,
    arxiv: '2501.00663',
    kind: 'language model',
    family: 'memory',
    equation:
      'S_t = \\eta_t S_{t-1} - \\theta_t \\nabla \\|M_{t-1}(k_t) - v_t\\|_2^2, \\quad M_t = (1 - \\alpha_t) M_{t-1} + S_t, \\quad y_t = M_t(q_t)',
    state:
      'weights and momentum of an MLP, 2 (2 K E + K) values a head, in an open chunk its gradient point; with MAC the keys and values of a segment',
    cost: 'O(D² + H K E), about four forwards of the inner MLP; with MAC also O(S H K)',
    differs: [
      'MAC is made causal: what is recalled for token j is visible from token j on, and output i reads the memory after token i. As drawn, both look ahead inside a segment.',
      'memoryNorm: true wraps the inner MLP as x + LN(MLP x) ⊙ (1 + γ), as the titans-pytorch port does; the MLP alone learns recall several times sooner.',
      'Gates are one number a head and token, the simpler of the two forms the paper allows; the decay gate starts nearly shut, and steps are at most 0.03: the gradients of a chunk are all taken at one point, and with momentum they add up. The last matrix of a memory starts at zero, so that what nothing was stored in recalls nothing.',
      'SiLU comes before the short convolution of queries, keys and values, for which the paper gives no order.',
      "The paper leaves open the norm and gate of the memory's output (RMSNorm by head, SiLU), the gating of MAC (a product of normed attention and the sigmoid of normed memory, as its gated variant), chunk sizes, and positions (rotary inside a segment).",
      'LMM has no persistent tokens. In MAG and MAL they stand ahead of the sequence, for memory and attention alike, and the window counts the keys behind them.',
      "variant 'mac-port' is the titans-pytorch port's model, which differs from the paper: gates from the mean of a chunk, reads that lag by a chunk, long-term tokens between segments, axial positions, no convolutions. Its published weights load. Keys are turned by their position in the sequence in every form; the port's cached decoding turns them by the place in the window, unlike its own parallel form. One residual stream, without hyper-connections.",
    ],
    claim:
      'Associative recall of 64 pairs, K = 16, one layer: MLP memory with momentum against a matrix memory (the linear delta rule) and against no momentum. Then a needle at 4 times the trained length, against a sliding window alone.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 4e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(initialWeights\.\d+|persistent|longterm|transition|gamma)$/, weightDecay: 0 }],
  },
  build,
  checkpoint: /* @__PURE__ */ checkpoint(defaults),
}

export default paper
