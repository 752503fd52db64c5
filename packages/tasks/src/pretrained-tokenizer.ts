import { Tokenizer as PublishedTokenizer } from '@huggingface/tokenizers'
import { parseConfigJson } from '@mneme/core-tensor/io/json'
import type { CheckpointDirectory } from '@mneme/core-tensor/io/store'
import type { StreamingDecoder, Tokenizer } from './tokenizer.js'
import { rwkvVocabularyFile, TrieTokenizer } from './trie-tokenizer.js'

/** A tokenizer as a `tokenizer.json` describes it, special tokens and all. */
export class JsonTokenizer implements Tokenizer {
  readonly size: number
  private readonly inner: PublishedTokenizer

  /** @param file what tokenizer.json holds @param config what tokenizer_config.json holds, if there is one */
  constructor(file: object, config: object = {}) {
    this.inner = new PublishedTokenizer(file, config)
    this.size = Math.max(-1, ...this.inner.get_vocab(true).values()) + 1
  }

  encode(text: string): Int32Array {
    return Int32Array.from(this.inner.encode(text).ids)
  }

  /** Without special tokens, such as those of the beginning and the end. */
  decode(ids: ArrayLike<number>): string {
    if (ids.length === 0) return ''
    return this.inner.decode(Array.from(ids), { skip_special_tokens: true, clean_up_tokenization_spaces: false })
  }

  /**
   * What a token adds to the text depends on those before it: a space in front, bytes of a character. So a few tokens
   * are decoded with it and without, and nothing is given while the text ends in half a character.
   */
  stream(): StreamingDecoder {
    const ids: number[] = []
    let [from, given] = [0, 0]
    const fresh = (): string => this.decode(ids.slice(from)).slice(this.decode(ids.slice(from, given)).length)
    return {
      push: (id) => {
        ids.push(id)
        const text = fresh()
        if (text === '' || text.endsWith('\uFFFD')) return ''
        ;[from, given] = [given, ids.length]
        return text
      },
      flush: () => {
        const text = fresh()
        given = ids.length
        return text
      },
    }
  }
}

/**
 * The tokenizer of a published checkpoint: its `tokenizer.json`, or the word list of RWKV; null where it has neither.
 *
 * @throws SyntaxError or RangeError naming the file that cannot be read
 */
export async function pretrainedTokenizer(directory: CheckpointDirectory): Promise<Tokenizer | null> {
  const textOf = async (name: string): Promise<string | null> => {
    const source = await directory.open(name)
    return source && new TextDecoder().decode(await source.read(0, source.size))
  }
  const where = (name: string): string => `${directory.name ?? 'checkpoint'}/${name}`
  const file = await textOf('tokenizer.json')
  if (file !== null) {
    const config = await textOf('tokenizer_config.json')
    return new JsonTokenizer(
      parseConfigJson(file, where('tokenizer.json')),
      config === null ? {} : parseConfigJson(config, where('tokenizer_config.json')),
    )
  }
  const words = await textOf(rwkvVocabularyFile)
  return words === null ? null : TrieTokenizer.parse(words, where(rwkvVocabularyFile))
}
