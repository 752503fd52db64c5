import { Tokenizer as PublishedTokenizer } from '@huggingface/tokenizers'
import { sourceText } from '@mneme/core-tensor/io/byte-source'
import { parseConfigJson } from '@mneme/core-tensor/io/json'
import type { CheckpointDirectory } from '@mneme/core-tensor/io/store'
import type { StreamingDecoder, Tokenizer } from './tokenizer.js'
import { maxWords, rwkvVocabularyFile, TrieTokenizer } from './trie-tokenizer.js'

/** A tokenizer as a `tokenizer.json` describes it, special tokens and all. */
export class JsonTokenizer implements Tokenizer {
  readonly size: number
  private readonly inner: PublishedTokenizer

  /** @param file what tokenizer.json holds @param config what tokenizer_config.json holds, if there is one */
  constructor(file: object, config: object = {}) {
    this.inner = new PublishedTokenizer(file, config)
    let last = -1
    // a loop, since a call with a hundred thousand arguments is too much for the stack
    for (const id of this.inner.get_vocab(true).values()) last = Math.max(last, id)
    this.size = last + 1
  }

  /** The ids of a text, special tokens that the file adds included. */
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

/** An id is an index of a list, which a mistaken one would make too long for any machine. @throws RangeError */
function checkIds(file: Record<string, unknown>, where: string): void {
  const { vocab } = (file.model ?? {}) as { readonly vocab?: unknown }
  const added: readonly { readonly content?: unknown; readonly id?: unknown }[] = Array.isArray(file.added_tokens)
    ? file.added_tokens
    : []
  const words = typeof vocab === 'object' && vocab !== null && !Array.isArray(vocab) ? Object.entries(vocab) : []
  const tokens = added.map((token): [string, unknown] => [String(token?.content), token?.id])
  for (const [word, id] of [...words, ...tokens]) {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < maxWords) continue
    throw new RangeError(
      `${where}, token ${JSON.stringify(word)}: expected an id below ${maxWords}, got ${JSON.stringify(id)}.`,
    )
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
    return source && sourceText(source)
  }
  const where = (name: string): string => `${directory.name ?? 'checkpoint'}/${name}`
  const file = await textOf('tokenizer.json')
  if (file !== null) {
    const config = await textOf('tokenizer_config.json')
    const parsed = parseConfigJson(file, where('tokenizer.json'))
    const settings = config === null ? {} : parseConfigJson(config, where('tokenizer_config.json'))
    checkIds(parsed, where('tokenizer.json'))
    try {
      return new JsonTokenizer(parsed, settings)
    } catch (error) {
      const { message } = error as Error
      throw new RangeError(`${where('tokenizer.json')}: expected a tokenizer, got one that fails: ${message}.`, {
        cause: error,
      })
    }
  }
  const words = await textOf(rwkvVocabularyFile)
  return words === null ? null : TrieTokenizer.parse(words, where(rwkvVocabularyFile))
}
