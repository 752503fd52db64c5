import type { Words } from './opened'

/** Tokens of a text; without a tokenizer, of the numbers in it. @throws RangeError for neither */
export function idsOf(words: Words, text: string): Int32Array {
  if (words.encode !== undefined) {
    const ids = Int32Array.from(words.encode(text))
    if (ids.length > 0) return ids
    throw new RangeError('prompt: expected some text, got none. Type a few words.')
  }
  const ids = text.split(/[\s,]+/).filter((part) => part !== '')
  if (ids.length > 0 && ids.every((id) => /^\d+$/.test(id))) return Int32Array.from(ids, Number)
  throw new RangeError(
    `prompt: expected token ids such as 1, 2, 3, since these files have no tokenizer, got ${JSON.stringify(text)}.`,
  )
}
