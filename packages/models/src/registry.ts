import { type BaseConfig, type Paper, type TokenModel, unknownName, withDefaults } from '@mneme/core-tensor'

/** Every paper, by key; a paper's code is loaded when it is asked for. */
const papers = {
  aaren: () => import('./aaren.js'),
  cottention: () => import('./cottention.js'),
  deltanet: () => import('./deltanet.js'),
  'forgetting-transformer': () => import('./forgetting-transformer.js'),
  'gated-deltanet': () => import('./gated-deltanet.js'),
  gateloop: () => import('./gateloop.js'),
  gla: () => import('./gla.js'),
  griffin: () => import('./griffin.js'),
  hgrn: () => import('./hgrn.js'),
  hgrn2: () => import('./hgrn2.js'),
  latte: () => import('./latte.js'),
  llamba: () => import('./llamba.js'),
  mamba: () => import('./mamba.js'),
  mamba2: () => import('./mamba2.js'),
  'min-rnn': () => import('./min-rnn.js'),
  resformer: () => import('./resformer.js'),
  retnet: () => import('./retnet.js'),
  rwkv: () => import('./rwkv.js'),
  titans: () => import('./titans.js'),
  transformer: () => import('./transformer.js'),
  'transformer-xl': () => import('./transformer-xl.js'),
  xlstm: () => import('./xlstm.js'),
} satisfies Record<string, () => Promise<{ readonly default: unknown }>>

export type PaperKey = keyof typeof papers
export type AnyPaper = Paper<BaseConfig, TokenModel>

export const paperKeys = Object.keys(papers) as PaperKey[]

/** Which paper reads a checkpoint, by `model_type` of its config.json, or by the class that wrote it. */
export const publishedTypes = {
  delta_net: 'deltanet',
  forgetting_transformer: 'forgetting-transformer',
  gated_deltanet: 'gated-deltanet',
  gla: 'gla',
  Griffin: 'griffin',
  MemTransformerLM: 'transformer-xl',
  MemoryAsContextTransformer: 'titans',
  hgrn: 'hgrn',
  hgrn2: 'hgrn2',
  llama: 'transformer',
  llamba: 'llamba',
  mamba: 'mamba',
  mamba2: 'mamba2',
  minLM: 'min-rnn',
  mistral: 'transformer',
  neutreno: 'resformer',
  Transformer: 'gateloop',
  recurrent_gemma: 'griffin',
  resformer: 'resformer',
  retnet: 'retnet',
  rwkv: 'rwkv',
  rwkv6: 'rwkv',
  rwkv7: 'rwkv',
  svformer: 'resformer',
  'transfo-xl': 'transformer-xl',
  xlstm: 'xlstm',
  xLSTMLMModel: 'xlstm',
} satisfies Record<string, PaperKey>

/**
 * A paper by its key: card, default and tiny configuration, builder.
 *
 * @throws RangeError for an unknown key, with a suggestion
 */
export async function loadPaper(key: string): Promise<AnyPaper> {
  if (!Object.hasOwn(papers, key)) throw new RangeError(unknownName('loadPaper', 'paper', key, paperKeys))
  return (await papers[key as PaperKey]()).default as unknown as AnyPaper
}

/**
 * Builds a model: the paper's defaults with `config` laid over them.
 *
 * @throws RangeError for a configuration key that does not exist, with a suggestion
 */
export async function createModel(key: string, config: object = {}): Promise<TokenModel> {
  const paper = await loadPaper(key)
  return paper.build(withDefaults(`config of ${key}`, paper.config, config))
}
