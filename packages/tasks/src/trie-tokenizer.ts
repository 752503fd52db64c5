import { byteStream, decodeAll, type StreamingDecoder, type Tokenizer } from './tokenizer.js'

/** Under this name RWKV's words are published beside its checkpoints. */
export const rwkvVocabularyFile = 'rwkv_vocab_v20230424.txt'

/** More than any vocabulary has: an id beyond it is a mistake, and would make a list of that length. */
export const maxWords = 2 ** 24

interface Node {
  readonly next: Map<number, Node>
  id: number | null
}

/**
 * Words of bytes, found longest first: the tokenizer of RWKV. Id 0 is the end of a text, and stands for no bytes.
 *
 * A text that is no word of the list falls apart into its bytes, which are words themselves.
 */
export class TrieTokenizer implements Tokenizer {
  readonly size: number
  private readonly root: Node = { next: new Map(), id: null }
  private readonly words: (Uint8Array | undefined)[] = [new Uint8Array()]

  /** @param words bytes and id of each */
  constructor(words: Iterable<readonly [id: number, bytes: Uint8Array]>) {
    for (const [id, bytes] of words) {
      this.words[id] = bytes
      let node = this.root
      for (const byte of bytes) {
        const next: Node = node.next.get(byte) ?? { next: new Map(), id: null }
        node.next.set(byte, next)
        node = next
      }
      node.id = id
    }
    this.size = this.words.length
  }

  /**
   * Reads the published list: on each line an id, a Python literal of text or bytes, and its length in bytes.
   *
   * @throws RangeError naming the line that is none of that
   */
  static parse(text: string, where = rwkvVocabularyFile): TrieTokenizer {
    const words = text.split('\n').flatMap((line, i): (readonly [number, Uint8Array])[] => {
      if (line.trim() === '') return []
      const [, id, literal, length] = /^(\d+) (.*) (\d+)\r?$/.exec(line) ?? []
      const bytes = literal === undefined ? null : literalBytes(literal)
      if (bytes === null || bytes.length !== Number(length) || Number(id) >= maxWords) {
        throw new RangeError(
          `${where}, line ${i + 1}: expected an id, a Python literal and its length in bytes, got ${JSON.stringify(line.slice(0, 60))}.`,
        )
      }
      return [[Number(id), bytes]]
    })
    return new TrieTokenizer(words)
  }

  /** @throws RangeError for a byte that no word begins with */
  encode(text: string): Int32Array {
    const bytes = new TextEncoder().encode(text)
    const ids: number[] = []
    for (let at = 0; at < bytes.length; ) {
      let node: Node | undefined = this.root
      let [id, end]: [number | null, number] = [null, at]
      for (let i = at; i < bytes.length; i++) {
        node = node.next.get(bytes[i] as number)
        if (node === undefined) break
        if (node.id !== null) [id, end] = [node.id, i + 1]
      }
      if (id === null) {
        throw new RangeError(
          `TrieTokenizer.encode: expected a word at byte ${at}, got ${bytes[at]}, which begins none.`,
        )
      }
      ids.push(id)
      at = end
    }
    return Int32Array.from(ids)
  }

  /** @throws RangeError for an id that is no word */
  decode(ids: ArrayLike<number>): string {
    return decodeAll(this.stream(), ids)
  }

  stream(): StreamingDecoder {
    return byteStream((id) => {
      const bytes = this.words[id]
      if (bytes === undefined) {
        throw new RangeError(`TrieTokenizer.decode: expected the id of a word below ${this.size}, got ${id}.`)
      }
      return bytes
    })
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', "'": "'", '"': '"' }

/** Bytes of a Python literal, `'text'` or `b'bytes'` with either quote; null for anything else. */
function literalBytes(literal: string): Uint8Array | null {
  const [, prefix, , body] = /^(b?)(['"])([\s\S]*)\2$/.exec(literal) ?? []
  if (body === undefined) return null
  let sound = true
  const text = body.replace(/\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[\s\S])/gi, (_, code: string) => {
    if (code.length > 1) return String.fromCodePoint(Number.parseInt(code.slice(1), 16))
    const character = escapes[code]
    if (character === undefined) sound = false
    return character ?? ''
  })
  if (!sound) return null
  return prefix === 'b' ? Uint8Array.from(text, (character) => character.charCodeAt(0)) : new TextEncoder().encode(text)
}
