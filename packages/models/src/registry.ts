import { type BaseConfig, type Paper, type TokenModel, unknownName, withDefaults } from '@mneme/core-tensor'

/** Every paper, by key; a paper's code is loaded when it is asked for. */
const papers = {
  aaren: () => import('./aaren.js'),
  armt: () => import('./armt.js'),
  'artificial-hippocampus': () => import('./artificial-hippocampus.js'),
  bert: () => import('./bert.js'),
  'block-recurrent-transformer': () => import('./block-recurrent-transformer.js'),
  'blockwise-ring': () => import('./blockwise-ring.js'),
  'compressive-transformer': () => import('./compressive-transformer.js'),
  cottention: () => import('./cottention.js'),
  deltanet: () => import('./deltanet.js'),
  'end-to-end-memory-networks': () => import('./end-to-end-memory-networks.js'),
  'forgetting-transformer': () => import('./forgetting-transformer.js'),
  'gated-deltanet': () => import('./gated-deltanet.js'),
  gateloop: () => import('./gateloop.js'),
  gla: () => import('./gla.js'),
  griffin: () => import('./griffin.js'),
  gru: () => import('./gru.js'),
  hgrn: () => import('./hgrn.js'),
  hgrn2: () => import('./hgrn2.js'),
  'infini-attention': () => import('./infini-attention.js'),
  'landmark-attention': () => import('./landmark-attention.js'),
  latte: () => import('./latte.js'),
  llamba: () => import('./llamba.js'),
  lm2: () => import('./lm2.js'),
  mamba: () => import('./mamba.js'),
  mamba2: () => import('./mamba2.js'),
  memformer: () => import('./memformer.js'),
  'min-rnn': () => import('./min-rnn.js'),
  'recurrent-linear-transformers': () => import('./recurrent-linear-transformers.js'),
  'resformer-reservoir': () => import('./resformer-reservoir.js'),
  'resformer-value-residual': () => import('./resformer-value-residual.js'),
  retnet: () => import('./retnet.js'),
  rmt: () => import('./rmt.js'),
  'rmt-1m': () => import('./rmt-1m.js'),
  rwkv: () => import('./rwkv.js'),
  titans: () => import('./titans.js'),
  tova: () => import('./tova.js'),
  transformer: () => import('./transformer.js'),
  'transformer-xl': () => import('./transformer-xl.js'),
  'universal-transformer': () => import('./universal-transformer.js'),
  xlstm: () => import('./xlstm.js'),
} satisfies Record<string, () => Promise<{ readonly default: unknown }>>

export type PaperKey = keyof typeof papers
export type AnyPaper = Paper<BaseConfig, TokenModel>

export const paperKeys = Object.keys(papers) as PaperKey[]

/** Which paper reads a checkpoint, by `model_type` of its config.json, or by the class that wrote it. */
export const publishedTypes = {
  'AssociativeRecurrentWrapper(AssociativeMemoryCell(GPT2LMHeadModel))': 'armt',
  bert: 'bert',
  BlockRecurrentTransformer: 'block-recurrent-transformer',
  CompressiveTransformer: 'compressive-transformer',
  delta_net: 'deltanet',
  forgetting_transformer: 'forgetting-transformer',
  gated_deltanet: 'gated-deltanet',
  gla: 'gla',
  gpt2: 'transformer',
  Griffin: 'griffin',
  hgrn: 'hgrn',
  hgrn2: 'hgrn2',
  InfiniTransformer: 'infini-attention',
  llama: 'transformer',
  llama_with_landmark: 'landmark-attention',
  llamba: 'llamba',
  mamba: 'mamba',
  mamba2: 'mamba2',
  Memformer: 'memformer',
  MemoryAsContextTransformer: 'titans',
  MemTransformerLM: 'transformer-xl',
  minLM: 'min-rnn',
  mistral: 'transformer',
  neutreno: 'resformer-value-residual',
  recurrent_gemma: 'griffin',
  'RecurrentWrapper(MemoryCell(GPT2LMHeadModel))': 'rmt',
  resformer: 'resformer-value-residual',
  retnet: 'retnet',
  rwkv: 'rwkv',
  rwkv6: 'rwkv',
  rwkv7: 'rwkv',
  svformer: 'resformer-value-residual',
  'transfo-xl': 'transformer-xl',
  Transformer: 'gateloop',
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
