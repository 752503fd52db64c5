import {
  type CachePolicy,
  fullCache,
  heavyHitterCache,
  sinkCache,
  tovaCache,
  windowCache,
} from '@mneme/attention/cache-policy'
import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  type CheckpointLayout,
  type LanguageModel,
  type Paper,
  type SequenceMixer,
  withDefaults,
} from '@mneme/core-tensor'
import { ifUsed } from './if-used.js'
import {
  type LlamaConfig,
  llamaBuffers,
  llamaDecoder,
  llamaDefaults,
  llamaNames,
  llamaTiny,
  publishLlama,
  readLlama,
} from './llama.js'
import { numberOf, oneOf } from './published.js'
import { vectors } from './recipes.js'

const policies = {
  tova: ({ capacity, chunk }) => tovaCache(capacity, chunk),
  h2o: ({ capacity, chunk }) => heavyHitterCache(capacity, chunk),
  window: ({ capacity, chunk }) => windowCache(capacity, chunk),
  sinks: ({ capacity, chunk, sinks }) => sinkCache(sinks, capacity, chunk),
  full: () => fullCache,
} satisfies Record<string, (config: TovaConfig) => CachePolicy>

type Policy = 'tova' | 'h2o' | 'window' | 'sinks' | 'full'

/** A Llama; what bounds its cache is the policy, so that it has no window. */
export interface TovaConfig extends LlamaConfig {
  /** Which keys a full cache gives up; `sinks` is the window with first keys that stay. */
  readonly policy: Policy
  /** Keys and values that each layer keeps. */
  readonly capacity: number
  /** First keys that stay, where the policy is `sinks`. */
  readonly sinks: number
  /** Tokens that see each other before the cache is reduced. */
  readonly chunk: number
}

function build(config: TovaConfig): LanguageModel {
  return llamaDecoder(
    config,
    (options, rng) =>
      new SoftmaxAttention({ ...options, cache: policies[config.policy](config) }, rng) as unknown as SequenceMixer,
  )
}

const defaults: TovaConfig = /* @__PURE__ */ ifUsed(() => ({
  ...llamaDefaults,
  policy: 'tova',
  capacity: 32,
  sinks: 4,
  chunk: 1,
}))

const tiny: TovaConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  ...llamaTiny,
  capacity: 4,
  sinks: 1,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, TovaConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'in chunks': { ...tiny, capacity: 5, chunk: 4 },
  'heavy hitters': { ...tiny, policy: 'h2o' },
  'first and newest': { ...tiny, policy: 'sinks', tieEmbeddings: true },
}))

/** The weights of any Llama; what the cache does is not stored by others, and has keys of its own. */
const checkpoint: CheckpointLayout<TovaConfig> = {
  modelTypes: ['llama'],
  config: (published) => ({
    ...readLlama(published),
    policy: oneOf(published, 'cache_policy', ['tova', 'h2o', 'window', 'sinks', 'full'], defaults.policy),
    capacity: numberOf(published, 'cache_size', defaults.capacity),
    sinks: numberOf(published, 'cache_sinks', defaults.sinks),
    chunk: numberOf(published, 'cache_chunk', defaults.chunk),
  }),
  publish: (config) => ({
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    ...publishLlama(config),
    cache_policy: config.policy,
    cache_size: config.capacity,
    cache_sinks: config.sinks,
    cache_chunk: config.chunk,
  }),
  names: llamaNames,
  ignore: llamaBuffers,
}

/**
 * TOVA, and other policies for a bounded cache: Oren et al. 2024, arXiv:2401.06104. `config` is laid over the
 * defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function tova(config: Partial<TovaConfig> = {}): LanguageModel {
  return build(withDefaults('tova', defaults, config))
}

const paper: Paper<TovaConfig, LanguageModel> = {
  card: {
    key: 'tova',
    title: 'Transformers are Multi-State RNNs',
    authors: 'Oren, Hassid, Yarden, Adi, Schwartz',
    year: 2024,
    arxiv: '2401.06104',
    kind: 'method',
    family: 'attention',
    equation:
      'S_t = S_{t-1} \\cup \\{(k_t, v_t)\\} \\setminus \\{(k_j, v_j)\\}, \\quad j = \\arg\\min_j \\sum_h \\mathrm{softmax}_j\\!\\left(\\tfrac{q_t^h \\cdot k_j^h}{\\sqrt K}\\right)',
    state: 'keys and values of C tokens, 2 G K C values a layer',
    cost: 'O(D² + C H K)',
    differs: [
      'The cache is reduced after every token, or every `chunk` of them, in training as in decoding; the authors process a prompt in one forward and reduce once.',
      'Of keys with equal weight the later stays.',
      'Beside TOVA stand the policies that the paper compares with: window, window with first tokens, H2O. Half of the places of H2O are for the newest keys.',
      'The model is Llama without a window. Any published one is read by the name of this paper: `fromPretrained(folder, { paper: "tova" })`.',
    ],
    claim:
      'A small language model, T = 1024, its perplexity over the capacity: TOVA needs fewer states than H2O, window and window with 4 first tokens.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
