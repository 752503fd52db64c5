import { type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { WindowHops } from '@mneme/memory/memory-hops'
import { type DecoderConfig, decoder } from './decoder.js'
import { vectors } from './recipes.js'

export interface MemoryNetworkConfig extends DecoderConfig {
  readonly hops: number
  /** Tokens in memory. */
  readonly slots: number
  readonly tying: 'adjacent' | 'layerwise'
  readonly query: 'token' | 'constant'
  /** Whether half of the units go through a ReLU after each hop. */
  readonly halfRelu: boolean
}

const defaults: MemoryNetworkConfig = {
  vocabulary: 256,
  dModel: 64,
  nLayers: 1,
  hops: 6,
  slots: 64,
  tying: 'layerwise',
  query: 'constant',
  halfRelu: true,
  tieEmbeddings: false,
  seed: 0,
}

function build(config: MemoryNetworkConfig): LanguageModel {
  return decoder(config, { embeddingStd: 1, norm: null, layer: (_, rng) => ({ mixer: new WindowHops(config, rng) }) })
}

/**
 * The language model among end-to-end memory networks: Sukhbaatar et al. 2015, arXiv:1503.08895, section 5. `config`
 * is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function endToEndMemoryNetworks(config: Partial<MemoryNetworkConfig> = {}): LanguageModel {
  return build(withDefaults('endToEndMemoryNetworks', defaults, config))
}

const paper: Paper<MemoryNetworkConfig, LanguageModel> = {
  card: {
    key: 'end-to-end-memory-networks',
    title: 'End-To-End Memory Networks',
    authors: 'Sukhbaatar, Szlam, Weston, Fergus',
    year: 2015,
    arxiv: '1503.08895',
    kind: 'language model',
    family: 'memory',
    equation: 'p_i = \\mathrm{softmax}_i(u^\\top m_i), \\quad u \\leftarrow H u + \\sum_i p_i c_i',
    state: 'the last N tokens, N D values',
    cost: 'O(K N D + D²)',
    differs: [
      'Keys and values are linear maps of one embedding, in place of two tables.',
      'Slots before the first word are left out of the softmax, where the authors pad with words.',
      'The network that answers questions about stories is StoryMemory of @mneme/memory.',
    ],
    claim: 'The novel by characters: more hops at equal width lower the validation loss, 1 against 3 against 6.',
  },
  config: defaults,
  tiny: {
    vocabulary: 13,
    dModel: 6,
    nLayers: 1,
    hops: 2,
    slots: 4,
    tying: 'layerwise',
    query: 'constant',
    halfRelu: true,
    tieEmbeddings: false,
    seed: 0,
  },
  recipe: { lr: 3e-3, weightDecay: 0.01, groups: [vectors] },
  build,
}

export default paper
