import type { KvCache } from '@mneme/attention/key-cache'
import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  allOf,
  type LanguageModel,
  type Mixed,
  type MixerTraits,
  Module,
  normalInit,
  type Paper,
  type Pass,
  RMSNorm,
  type Rng,
  type SequenceMixer,
  type State,
  SwiGLU,
  withDefaults,
} from '@mneme/core-tensor'
import { GatedMemoryBank, type GatedMemoryBankState } from '@mneme/memory/gated-memory-bank'
import { add, type Tensor } from '@tensorflow/tfjs-core'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface Lm2Config extends DecoderConfig {
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  readonly dInner: number
  /** Slots of a layer's bank, and tokens after which it is handed on. */
  readonly slots: number
  readonly memoryHeads: number
  /** Gates of the paper, or of the authors' program. */
  readonly form: 'paper' | 'code'
  readonly ropeBase: number
  readonly normEps: number
  readonly initStd: number
}

interface Lm2State {
  readonly [name: string]: State
  readonly attention: KvCache
  readonly bank: GatedMemoryBankState
}

/** Attention, and on top of what it gives what that finds in a bank: y = a + bank(a), a = Attn(x). */
class BankedAttention extends Module implements SequenceMixer<Lm2State> {
  readonly attention: SoftmaxAttention
  readonly bank: GatedMemoryBank

  constructor({ memoryHeads, ropeBase, initStd, ...config }: Lm2Config, rng: Rng) {
    super()
    const projection = { bias: false, init: normalInit(initStd) }
    const rotary = { dims: config.dHead, base: ropeBase }
    this.attention = new SoftmaxAttention({ ...config, window: 0, rotary, projection }, rng)
    this.bank = new GatedMemoryBank({ ...config, nHeads: memoryHeads }, rng)
  }

  get traits(): MixerTraits {
    return allOf([this.attention.traits, this.bank.traits])
  }

  initialState(batch: number): Lm2State {
    return { attention: this.attention.initialState(), bank: this.bank.initialState(batch) }
  }

  forward(x: Tensor, state?: Lm2State, pass?: Pass): Mixed<Lm2State> {
    const before = state ?? this.initialState(x.shape[0] as number)
    const attended = this.attention.forward(x, before.attention, pass)
    const recalled = this.bank.forward(attended.y, before.bank, pass)
    return { y: add(attended.y, recalled.y), state: { attention: attended.state, bank: recalled.state } }
  }

  stateBytes(length: number): number {
    return this.attention.stateBytes(length) + this.bank.stateBytes(length)
  }
}

function build(config: Lm2Config): LanguageModel {
  const { dModel, dInner, normEps, initStd } = config
  const projection = { bias: false, init: normalInit(initStd) }
  return decoder(config, {
    embeddingStd: initStd,
    headStd: initStd,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixer: new BankedAttention(config, rng),
      mixerNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, dInner, rng, projection),
      mlpNorm: new RMSNorm(dModel, normEps),
    }),
  })
}

const tiny: Lm2Config = {
  vocabulary: 13,
  dModel: 6,
  nLayers: 2,
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  dInner: 8,
  slots: 4,
  memoryHeads: 2,
  form: 'paper',
  ropeBase: 10000,
  normEps: 1e-5,
  initStd: 0.4,
  tieEmbeddings: true,
  seed: 0,
}

/** What `tiny` leaves out. */
export const moreTiny: Readonly<Record<string, Lm2Config>> = /* @__PURE__ */ ifUsed(() => ({
  "gates of the authors' program": { ...tiny, form: 'code', slots: 3, tieEmbeddings: false },
}))

const defaults: Lm2Config = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  vocabulary: 256,
  dModel: 64,
  nHeads: 4,
  nKvHeads: 4,
  dHead: 16,
  dInner: 176,
  slots: 64,
  memoryHeads: 4,
  initStd: 0.02,
}))

/**
 * LM2: Kang et al. 2025, arXiv:2502.06049. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function lm2(config: Partial<Lm2Config> = {}): LanguageModel {
  return build(withDefaults('lm2', defaults, config))
}

const paper: Paper<Lm2Config, LanguageModel> = {
  card: {
    key: 'lm2',
    title: 'LM2: Large Memory Models',
    authors: 'Kang, Wu, Christianos, Chan, Greenlee, Thomas, Purtorab, Toulis',
    year: 2025,
    arxiv: '2502.06049',
    kind: 'language model',
    family: 'memory',
    equation:
      "E = \\operatorname{softmax}\\!\\left(\\tfrac{Q K^\\top}{\\sqrt{d}}\\right) V, \\quad M' = g_{\\text{in}} \\odot \\tanh(E) + g_{\\text{forget}} \\odot M, \\quad y = A + g_{\\text{out}} \\odot E",
    state: 'M, N D values a layer, and as many again of the open segment; keys and values of all tokens, 2 T G K',
    cost: 'O(D² + (T + N) D)',
    differs: [
      'A token reads the bank as it was before its segment of N tokens and rewrites the slot of its place in it, so that nothing is seen ahead of time.',
      'Each layer keeps a bank of its own from segment to segment; in the paper one bank goes through all layers.',
      "Queries of the bank are what self-attention gives, as in the authors' program; the gates have biases.",
      'form "code": the gates of that program, with averages over the tokens so far instead of all, and without its dropout of 0.9 and its selection of slots. Its checkpoints are not read, since its averages look ahead.',
      'Any number of slots, not as many as the model is wide.',
    ],
    claim:
      'BABILong qa1 and qa2 at 0.5 to 2 thousand tokens, D = 64: above the same decoder without a bank, and above a recurrent memory transformer.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 3e-3,
    weightDecay: 0.1,
    groups: [vectors, { match: /\.(inputWeight|inputBias|forgetBias)$/, weightDecay: 0 }],
  },
  build,
}

export default paper
