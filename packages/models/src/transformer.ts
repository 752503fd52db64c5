import { type CheckpointLayout, type LanguageModel, type Paper, withDefaults } from '@mneme/core-tensor'
import { type Gpt2Config, gpt2Buffers, gpt2Decoder, gpt2Names, publishGpt2, readGpt2 } from './gpt2.js'
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
import { vectors } from './recipes.js'

/** What is Llama's alone has no effect in the form of GPT-2. */
export interface TransformerConfig extends LlamaConfig {
  /** Llama: RMSNorm, rotary positions, SwiGLU. GPT-2: LayerNorm, learned positions, one activation, biases. */
  readonly form: 'llama' | 'gpt2'
  /** What only GPT-2 has. */
  readonly gpt2: Pick<Gpt2Config, 'positions' | 'activation' | 'scaled' | 'scaledByLayer'>
}

function build(config: TransformerConfig): LanguageModel {
  return config.form === 'gpt2' ? gpt2Decoder({ ...config, ...config.gpt2 }) : llamaDecoder(config)
}

const defaults: TransformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...llamaDefaults,
  form: 'llama',
  gpt2: { positions: 1024, activation: 'gelu_new', scaled: true, scaledByLayer: false },
}))

const tiny: TransformerConfig = /* @__PURE__ */ ifUsed(() => ({ ...defaults, ...llamaTiny, attentionBias: true }))

const tinyGpt2: TransformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...tiny,
  form: 'gpt2',
  dModel: 8,
  gpt2: { positions: 48, activation: 'gelu_new', scaled: true, scaledByLayer: true },
  tieEmbeddings: true,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, TransformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'the form of GPT-2': tinyGpt2,
  'the form of GPT-2, exact GELU, an output of its own': {
    ...tinyGpt2,
    gpt2: { ...tinyGpt2.gpt2, activation: 'gelu', scaled: false, scaledByLayer: false },
    tieEmbeddings: false,
  },
}))

const llama: CheckpointLayout<TransformerConfig> = {
  modelTypes: ['llama', 'mistral'],
  config: (published) => ({ ...defaults, ...readLlama(published), form: 'llama' }),
  publish: (config) => ({
    model_type: config.window > 0 ? 'mistral' : 'llama',
    architectures: [config.window > 0 ? 'MistralForCausalLM' : 'LlamaForCausalLM'],
    ...publishLlama(config),
  }),
  names: llamaNames,
  ignore: llamaBuffers,
}

const gpt2: CheckpointLayout<TransformerConfig> = {
  modelTypes: ['gpt2'],
  config(published) {
    const { positions, activation, scaled, scaledByLayer, ...shared } = readGpt2(published)
    const dHead = shared.dModel / shared.nHeads
    const options = { positions, activation, scaled, scaledByLayer }
    return { ...defaults, ...shared, form: 'gpt2', nKvHeads: shared.nHeads, dHead, gpt2: options }
  },
  publish: (config) => publishGpt2({ ...config, ...config.gpt2 }),
  names: (config) => gpt2Names({ ...config, ...config.gpt2 }),
  ignore: gpt2Buffers,
}

const checkpoint = /* @__PURE__ */ eitherForm({ llama, gpt2 })

function eitherForm(
  forms: Readonly<Record<TransformerConfig['form'], CheckpointLayout<TransformerConfig>>>,
): CheckpointLayout<TransformerConfig> {
  const all = Object.values(forms)
  return {
    modelTypes: all.flatMap(({ modelTypes }) => modelTypes),
    config: (published) => forms[published.model_type === 'gpt2' ? 'gpt2' : 'llama'].config(published),
    publish: (config) => forms[config.form].publish(config),
    names: (config) => forms[config.form].names(config),
    ignore: all.flatMap(({ ignore = [] }) => ignore),
    prefix: 'transformer.',
  }
}

/**
 * The softmax decoder that the others are measured against, in the forms of Llama and GPT-2. `config` is laid over
 * the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function transformer(config: Partial<TransformerConfig> = {}): LanguageModel {
  return build(withDefaults('transformer', defaults, config))
}

const paper: Paper<TransformerConfig, LanguageModel> = {
  card: {
    key: 'transformer',
    title: 'Attention Is All You Need',
    authors: 'Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin',
    year: 2017,
    arxiv: '1706.03762',
    kind: 'language model',
    family: 'attention',
    equation: 'o_i = \\sum_{j \\le i} \\mathrm{softmax}_j\\!\\left(\\tfrac{q_i \\cdot k_j}{\\sqrt K}\\right) v_j',
    state: 'keys and values of every token, 2 G K T values a layer',
    cost: 'O(D² + T H K)',
    differs: [
      "A decoder alone. form 'llama': RMSNorm before each part, rotary positions, grouped queries, SwiGLU (arXiv:2302.13971). form 'gpt2': LayerNorm before each part, learned positions, GELU, biases (Radford et al. 2019).",
      'No dropout.',
    ],
    claim: 'The baseline: two layers reach at least 98 % on MQAR with 4 pairs at T = 64, D = 64.',
  },
  config: defaults,
  tiny,
  recipe: { lr: 3e-3, weightDecay: 0.1, groups: [vectors] },
  build,
  checkpoint,
}

export default paper
