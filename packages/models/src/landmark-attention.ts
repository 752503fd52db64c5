import { LandmarkAttention } from '@mneme/attention/landmark-attention'
import {
  type CheckpointLayout,
  dims,
  type LanguageModel,
  type Mixed,
  type MixerTraits,
  Module,
  type Paper,
  type Pass,
  rowByRow,
  type SequenceMixer,
  type Session,
  type SessionOptions,
  type State,
  sessionOf,
  type TokenModel,
  withDefaults,
} from '@mneme/core-tensor'
import { cast, concat, fill, gather, slice, type Tensor, tensor1d } from '@tensorflow/tfjs-core'
import { ifUsed } from './if-used.js'
import { type LlamaConfig, llamaBuffers, llamaDecoder, llamaNames, publishLlama, readLlama } from './llama.js'
import { flagOf, numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

/** A Llama with a key head for each query head and no window. */
export interface LandmarkConfig extends Omit<LlamaConfig, 'nKvHeads' | 'window'> {
  /** Tokens of a block; a landmark follows them. */
  readonly block: number
  /** Earlier blocks that a token may look into, head by head; 0 for all. */
  readonly retrieved: number
  /** Of retrieved blocks: `own`, or `near`, which never goes beyond `retrieved` + 2 blocks and so reads any length. */
  readonly positions: 'own' | 'near'
  /** Whether the model puts landmarks between the tokens; else they are in the text, and scored like it. */
  readonly inserts: boolean
}

interface LandmarkState {
  readonly [name: string]: State
  /** Tokens seen, without landmarks. */
  readonly position: number
  readonly inner: State
}

/** Puts a landmark behind every block of tokens, and leaves its outputs out: from outside, a model of plain text. */
export class WithLandmarks extends Module implements TokenModel<LandmarkState> {
  readonly input = 'tokens'

  constructor(
    readonly inner: LanguageModel,
    private readonly block: number,
  ) {
    super()
  }

  /** The last token of the model inside is the landmark. */
  get vocabulary(): number {
    return this.inner.vocabulary - 1
  }

  get traits(): MixerTraits {
    return { ...this.inner.traits, padding: true }
  }

  initialState(batch: number): LandmarkState {
    return { position: 0, inner: this.inner.initialState(batch) }
  }

  /** int32 `[B, T]` to scores `[B, T, V]`. */
  forward(ids: Tensor, state?: LandmarkState, pass?: Pass): Mixed<LandmarkState> {
    const { B, T } = dims('WithLandmarks.forward ids', ids, 'B T')
    const apart = rowByRow(this, ids, state, pass, this.vocabulary)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    // place T is the landmark's
    const source: number[] = []
    const kept: number[] = []
    for (let t = 0; t < T; t++) {
      kept.push(source.push(t) - 1)
      if ((before.position + t + 1) % this.block === 0) source.push(T)
    }
    const landmark = fill([B, 1], this.vocabulary, 'int32')
    const tokens = concat([ids.dtype === 'int32' ? ids : cast(ids, 'int32'), landmark], 1)
    const mixed = this.inner.forward(gather(tokens, tensor1d(source, 'int32'), 1), before.inner, pass)
    const scores = slice(mixed.y, [0, 0, 0], [B, source.length, this.vocabulary])
    return {
      y: gather(scores, tensor1d(kept, 'int32'), 1),
      state: { position: before.position + T, inner: mixed.state },
    }
  }

  stateBytes(length: number): number {
    return this.inner.stateBytes(length + Math.floor(length / this.block))
  }

  session(options?: SessionOptions): Promise<Session> {
    return sessionOf(this, options)
  }
}

function build(config: LandmarkConfig): TokenModel {
  const { block, inserts, nHeads, positions } = config
  const vocabulary = inserts ? config.vocabulary + 1 : config.vocabulary
  const retrieved = config.retrieved || null
  const inner = llamaDecoder(
    { ...config, vocabulary, nKvHeads: nHeads, window: 0 },
    (options, rng) =>
      new LandmarkAttention({ ...options, block, retrieved, positions }, rng) as unknown as SequenceMixer,
  )
  return inserts ? (new WithLandmarks(inner, block) as unknown as TokenModel) : inner
}

/** The authors' names; what they decide when the model is read, or do to its text, has keys of its own. */
const checkpoint: CheckpointLayout<LandmarkConfig> = {
  modelTypes: ['llama_with_landmark'],
  config(published) {
    const { nKvHeads, window, ...llama } = readLlama(published)
    if (nKvHeads !== llama.nHeads) {
      throw new RangeError(`config.json num_key_value_heads: expected ${llama.nHeads}, as heads, got ${nKvHeads}.`)
    }
    if (window !== 0) throw new RangeError(`config.json sliding_window: expected none, got ${window}.`)
    const inserts = flagOf(published, 'mem_inserted', false)
    return {
      ...llama,
      vocabulary: inserts ? llama.vocabulary - 1 : llama.vocabulary,
      block: numberOf(published, 'mem_freq'),
      retrieved: numberOf(published, 'mem_retrieved', 0),
      positions: oneOf(published, 'mem_positions', ['own', 'near'], 'near'),
      inserts,
    }
  },
  publish: ({ inserts, ...config }) => {
    const vocabulary = inserts ? config.vocabulary + 1 : config.vocabulary
    return {
      reference: 'epfml/landmark-attention, llama/llama_mem.py, LlamaForCausalLM',
      model_type: 'llama_with_landmark',
      architectures: ['LlamaForCausalLM'],
      ...publishLlama({ ...config, vocabulary, nKvHeads: config.nHeads, window: 0 }),
      mem_freq: config.block,
      mem_id: vocabulary - 1,
      mem_retrieved: config.retrieved,
      mem_positions: config.positions,
      mem_inserted: inserts,
    }
  },
  names: ({ inserts }) =>
    inserts ? llamaNames().map((rule) => ({ ...rule, path: `inner.${rule.path}` })) : llamaNames(),
  ignore: llamaBuffers,
}

const defaults: LandmarkConfig = {
  vocabulary: 256,
  block: 15,
  retrieved: 0,
  positions: 'near',
  inserts: true,
  dModel: 64,
  nLayers: 2,
  nHeads: 4,
  dHead: 16,
  dInner: 176,
  ropeBase: 10000,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  normEps: 1e-6,
  initStd: 0.02,
  tieEmbeddings: false,
  seed: 0,
}

const tiny: LandmarkConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  block: 3,
  dModel: 6,
  nHeads: 2,
  dHead: 4,
  dInner: 8,
  ropeBase: 100,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, LandmarkConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'two blocks retrieved': { ...tiny, retrieved: 2, positions: 'own', tieEmbeddings: true },
  // not between tokens by the model itself: landmarks that are all alike tie in the first layer, where nothing is smooth
  'near positions, landmarks in the text': { ...tiny, retrieved: 2, inserts: false, block: 2 },
  'landmarks in the text': { ...tiny, inserts: false, block: 4 },
}))

/**
 * Landmark attention: Mohtashami and Jaggi 2023, arXiv:2305.16300. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function landmarkAttention(config: Partial<LandmarkConfig> = {}): TokenModel {
  return build(withDefaults('landmarkAttention', defaults, config))
}

const paper: Paper<LandmarkConfig> = {
  card: {
    key: 'landmark-attention',
    title: 'Landmark Attention: Random-Access Infinite Context Length for Transformers',
    authors: 'Mohtashami, Jaggi',
    year: 2023,
    arxiv: '2305.16300',
    kind: 'language model',
    family: 'attention',
    equation:
      'w_{ij} = p_L(j) \\text{ in the own block}, \\quad w_{ij} = p_b(j)\\, p_L(\\text{landmark}_b) \\text{ in an earlier block } b',
    state:
      'keys and values of every token and landmark, 2 (1 + 1 / m) H K T values a layer, keys twice where blocks are retrieved',
    cost: 'O(D² + T H K)',
    differs: [
      "The model is Llama, as in the authors' second experiment; the small model of their first has LayerNorm, GELU and rotary positions in pairs.",
      'Blocks are counted by position: every (block + 1)-th token is a landmark, whatever token it is.',
      'The model puts landmarks between the tokens by itself. Published weights load with the text as it was in training, landmarks in it and scored with the rest: `inserts: false`.',
      'Retrieval is by head and token; nothing leaves the device. Positions of what is retrieved stay near, but blocks before the last `retrieved` share one place, where the authors line them up.',
      'No dropout of groups.',
    ],
    claim:
      'Key recall from text: trained at T = 128 with blocks of 15, read at T = 2048 with two blocks retrieved, against a sliding window of as many tokens.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
