import type { Vocabulary } from './task.js'

/** Text from ids that arrive one at a time. */
export interface StreamingDecoder {
  /** The text that this id completes: empty while a character is still missing bytes. */
  push(id: number): string
  /** What is left at the end; a character cut short reads as U+FFFD. */
  flush(): string
}

/** Text to ids and back. */
export interface Tokenizer extends Vocabulary {
  /** The ids of a text. @throws RangeError for what the vocabulary cannot say */
  encode(text: string): Int32Array
  /** The text of ids. @throws RangeError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string
  stream(): StreamingDecoder
}

/** One id a character (Unicode code point), in the order given. */
export class CharacterTokenizer implements Tokenizer {
  readonly size: number
  private readonly ids: ReadonlyMap<string, number>

  constructor(readonly characters: readonly string[]) {
    this.size = characters.length
    this.ids = new Map(characters.map((character, id) => [character, id]))
  }

  /** The characters of a text, sorted by code point. */
  static of(text: string): CharacterTokenizer {
    const point = (character: string) => character.codePointAt(0) as number
    return new CharacterTokenizer([...new Set(text)].sort((a, b) => point(a) - point(b)))
  }

  /** @throws RangeError for a character outside the vocabulary */
  encode(text: string): Int32Array {
    const ids = new Int32Array(text.length)
    let count = 0
    for (const character of text) {
      const id = this.ids.get(character)
      if (id === undefined) {
        throw new RangeError(
          `CharacterTokenizer.encode: expected one of ${this.size} characters, got ${JSON.stringify(character)} at character ${count}.`,
        )
      }
      ids[count++] = id
    }
    return ids.slice(0, count)
  }

  /** @throws RangeError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string {
    return Array.from(ids, (id) => entry('CharacterTokenizer', this.characters, id)).join('')
  }

  stream(): StreamingDecoder {
    return { push: (id) => entry('CharacterTokenizer', this.characters, id), flush: () => '' }
  }
}

/** One id a byte of UTF-8: 256 ids, every text. */
export class ByteTokenizer implements Tokenizer {
  readonly size = 256

  /** A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD. */
  encode(text: string): Int32Array {
    return Int32Array.from(new TextEncoder().encode(text))
  }

  /** @throws RangeError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string {
    return decodeAll(this.stream(), ids)
  }

  stream(): StreamingDecoder {
    return byteStream((id) => entry('ByteTokenizer', singleBytes, id))
  }
}

/** Decodes ids that stand for bytes, holding back the bytes of a character until all are there. */
export function byteStream(bytesOf: (id: number) => Uint8Array): StreamingDecoder {
  // a leading U+FEFF is text like any other, which the decoder would else swallow
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return {
    push: (id) => decoder.decode(bytesOf(id), { stream: true }),
    flush: () => decoder.decode(),
  }
}

/** All ids through a stream. */
export function decodeAll(stream: StreamingDecoder, ids: ArrayLike<number>): string {
  return Array.from(ids, (id) => stream.push(id)).join('') + stream.flush()
}

/**
 * The entry of an id.
 *
 * @throws RangeError for an id outside the table
 */
export function entry<T>(where: string, table: readonly T[], id: number): T {
  const found = table[id]
  if (found === undefined) throw new RangeError(`${where}.decode: expected an id in [0, ${table.length}), got ${id}.`)
  return found
}

const singleBytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
