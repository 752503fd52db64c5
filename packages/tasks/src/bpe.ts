import { checkInteger } from './check.js'
import type { StreamingDecoder, Tokenizer } from './tokenizer.js'
import { byteStream, decodeAll, entry } from './tokenizer.js'

/**
 * Byte-pair encoding over UTF-8 bytes: every text has ids and comes back whole.
 *
 * A text is cut into words as GPT-2 cuts it; in each word the pair of ids that was learnt first is joined, again and
 * again. The ids and `toJSON` are those of the Hugging Face `ByteLevel` BPE tokenizer.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909; bytes and word pattern Radford et al. 2019 (GPT-2).
 */
export class BytePairTokenizer implements Tokenizer {
  readonly size: number
  private readonly bytes: readonly Uint8Array[]
  private readonly joined: ReadonlyMap<number, number>
  private readonly cache = new Map<string, readonly number[]>()

  /** @param merges pairs of ids in the order learnt; merge i makes id 256 + i */
  constructor(readonly merges: readonly (readonly [left: number, right: number])[]) {
    this.size = alphabet.length + merges.length
    this.joined = new Map(merges.map(([left, right], i) => [pairKey(left, right), alphabet.length + i]))
    const bytes = alphabet.map((byte) => Uint8Array.of(byte))
    for (const [left, right] of merges) {
      bytes.push(Uint8Array.of(...entry('BytePairTokenizer', bytes, left), ...entry('BytePairTokenizer', bytes, right)))
    }
    this.bytes = bytes
  }

  /** A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD. */
  encode(text: string): Int32Array {
    const ids: number[] = []
    for (const word of words(text)) for (const id of this.encodeWord(word)) ids.push(id)
    return Int32Array.from(ids)
  }

  /** @throws RangeError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string {
    return decodeAll(this.stream(), ids)
  }

  stream(): StreamingDecoder {
    return byteStream((id) => entry('BytePairTokenizer', this.bytes, id))
  }

  /** The content of a Hugging Face `tokenizer.json`. */
  toJSON(): TokenizerJson {
    const name = (id: number) =>
      Array.from(entry('BytePairTokenizer', this.bytes, id), (byte) => byteName[byte]).join('')
    return {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(this.bytes.map((_, id) => [name(id), id])),
        merges: this.merges.map(([left, right]) => `${name(left)} ${name(right)}`),
      },
    }
  }

  /**
   * Reads back what `toJSON` gave.
   *
   * @throws RangeError for a tokenizer of another make: other ids, special tokens, another model
   */
  static fromJSON(json: TokenizerJson): BytePairTokenizer {
    const { vocab, merges } = json.model
    const id = (name: string): number => (Object.hasOwn(vocab, name) ? vocab[name] : undefined) ?? -1
    const pairs = merges.map((merge) => {
      const [left = '', right = ''] = merge.split(' ')
      return [id(left), id(right)] as const
    })
    // every id must be known before the pair that uses it, and every name must have the id that toJSON would give
    const ordered = pairs.every((pair, i) => pair.every((part) => part >= 0 && part < alphabet.length + i))
    const tokenizer = ordered ? new BytePairTokenizer(pairs) : undefined
    const names = Object.entries(tokenizer?.toJSON().model.vocab ?? {})
    const same = names.every(([name, expected]) => id(name) === expected) && names.length === Object.keys(vocab).length
    if (tokenizer === undefined || !same || json.added_tokens.length > 0 || json.pre_tokenizer?.type !== 'ByteLevel') {
      throw new RangeError(
        'BytePairTokenizer.fromJSON: expected byte-level BPE as toJSON writes it: ids of the 256 bytes, then one a merge, no special tokens.',
      )
    }
    return tokenizer
  }

  private encodeWord(word: string): readonly number[] {
    const known = this.cache.get(word)
    if (known !== undefined) return known
    let ids = wordBytes(word)
    for (let id = this.firstJoin(ids); id !== undefined; id = this.firstJoin(ids)) {
      const [left, right] = entry('BytePairTokenizer', this.merges, id - alphabet.length)
      ids = join(ids, left, right, id)
    }
    if (this.cache.size < cacheWords) this.cache.set(word, ids)
    return ids
  }

  /** The id of the earliest learnt pair in a word; joining all its places at once gives what one by one gives. */
  private firstJoin(ids: readonly number[]): number | undefined {
    let first: number | undefined
    for (let i = 1; i < ids.length; i++) {
      const id = this.joined.get(pairKey(ids[i - 1] as number, ids[i] as number))
      if (id !== undefined && (first === undefined || id < first)) first = id
    }
    return first
  }
}

/** Hugging Face's `tokenizer.json`, as far as a byte-level BPE without special tokens is told by it. */
export interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>
    /** `left right`; a name holds no space. */
    readonly merges: readonly string[]
    readonly [field: string]: unknown
  }
  readonly added_tokens: readonly unknown[]
  readonly pre_tokenizer: { readonly type: string; readonly [field: string]: unknown } | null
  readonly [field: string]: unknown
}

/**
 * Learns merges from a text until the vocabulary has `size` ids or no pair occurs twice. Of equally frequent pairs the
 * one with the smaller ids is joined, so a text always gives the same tokenizer.
 *
 * Time: about the length of the text, then `size` times the distinct pairs.
 *
 * @param size ids, 256 to 65536
 * @throws RangeError for another size
 */
export function trainBytePairs(text: string, size: number): BytePairTokenizer {
  checkInteger('trainBytePairs.size', size, alphabet.length, pairBase)
  const pairs = new PairCounts(text)
  const merges: [number, number][] = []
  for (let id = alphabet.length; id < size; id++) {
    const best = pairs.mostFrequent()
    if (best === undefined) break
    merges.push(best)
    pairs.join(...best, id)
  }
  return new BytePairTokenizer(merges)
}

/** How often each pair of neighbouring ids occurs in a text, kept up to date while pairs are joined. */
class PairCounts {
  private readonly words: { ids: number[]; count: number }[] = []
  private readonly counts = new Map<number, number>()
  private readonly holders = new Map<number, Set<number>>()

  constructor(text: string) {
    const seen = new Map<string, number>()
    for (const word of words(text)) seen.set(word, (seen.get(word) ?? 0) + 1)
    for (const [word, count] of seen) {
      this.words.push({ ids: wordBytes(word), count })
      this.count(this.words.length - 1, 1)
    }
  }

  mostFrequent(): [number, number] | undefined {
    let best = 0
    let most = 1
    for (const [key, count] of this.counts) {
      if (count > most || (count === most && most > 1 && key < best)) {
        best = key
        most = count
      }
    }
    return most > 1 ? [Math.floor(best / pairBase), best % pairBase] : undefined
  }

  join(left: number, right: number, id: number): void {
    const key = pairKey(left, right)
    for (const index of this.holders.get(key) ?? []) {
      const word = this.words[index] as { ids: number[]; count: number }
      this.count(index, -1)
      word.ids = join(word.ids, left, right, id)
      this.count(index, 1)
    }
    this.holders.delete(key)
  }

  /** Adds or takes away the pairs of one word. Its index may stay with a pair that it no longer holds. */
  private count(index: number, sign: 1 | -1): void {
    const { ids, count } = this.words[index] as { ids: number[]; count: number }
    for (let i = 1; i < ids.length; i++) {
      const key = pairKey(ids[i - 1] as number, ids[i] as number)
      const total = (this.counts.get(key) ?? 0) + sign * count
      if (total === 0) this.counts.delete(key)
      else this.counts.set(key, total)
      if (sign < 0) continue
      const holders = this.holders.get(key)
      if (holders === undefined) this.holders.set(key, new Set([index]))
      else holders.add(index)
    }
  }
}

const pairBase = 65536
const cacheWords = 65536

function pairKey(left: number, right: number): number {
  return left * pairBase + right
}

/** Every place of a pair joined, from the left. */
function join(ids: readonly number[], left: number, right: number, id: number): number[] {
  const result: number[] = []
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      result.push(id)
      i++
    } else result.push(ids[i] as number)
  }
  return result
}

// GPT-2's pattern, with White_Space spelt out because JavaScript's \s holds other characters than Rust's
const pattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

function words(text: string): readonly string[] {
  return text.match(pattern) ?? []
}

/** The printable character that stands for each byte in `tokenizer.json`: itself, or the next from U+0100 on. */
const byteName: readonly string[] = (() => {
  let spare = 256
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : spare++))
})()

/** The bytes in the order of their ids: by the character that stands for them. */
const alphabet: readonly number[] = Array.from(byteName, (name, byte) => ({ code: name.charCodeAt(0), byte }))
  .sort((a, b) => a.code - b.code)
  .map(({ byte }) => byte)

const idOfByte = new Uint8Array(256)
alphabet.forEach((byte, id) => {
  idOfByte[byte] = id
})

function wordBytes(word: string): number[] {
  return Array.from(new TextEncoder().encode(word), (byte) => idOfByte[byte] as number)
}
