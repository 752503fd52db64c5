import { memoryStore, storeDirectory } from '@mneme/core-tensor/io/store'
import { describe, expect, test } from 'vitest'
import { pretrainedTokenizer } from './pretrained-tokenizer.js'
import type { Tokenizer } from './tokenizer.js'
import { rwkvVocabularyFile, TrieTokenizer } from './trie-tokenizer.js'

/** What GPT-2's files have: a character for every byte. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255)
  let more = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : more++))
}

function gpt2Like(): object {
  const characters = byteCharacters()
  const merges = ['t h', 'th e', 'Ġ the']
  const vocab = Object.fromEntries([...characters, 'th', 'the', 'Ġthe'].map((token, id) => [token, id]))
  const added = {
    id: 259,
    content: '<|endoftext|>',
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }
  return {
    version: '1.0',
    added_tokens: [added],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
  }
}

async function folder(files: Readonly<Record<string, string>>): Promise<Tokenizer | null> {
  const store = memoryStore()
  for (const [name, text] of Object.entries(files)) await store.write(name, new TextEncoder().encode(text))
  return pretrainedTokenizer(storeDirectory(store, 'folder'))
}

const text = 'the whale, the 🐳 and Ære; naïve\n\ttabs'

describe('tokenizer.json', () => {
  test('text comes back as it was, with merged words and special tokens left out', async () => {
    const tokenizer = (await folder({ 'tokenizer.json': JSON.stringify(gpt2Like()) })) as Tokenizer
    const ids = tokenizer.encode(text)
    expect(Array.from(ids.slice(0, 2))).toEqual([257, 32])
    expect(tokenizer.decode([...ids, 259])).toBe(text)
    expect(tokenizer.size).toBe(260)
  })

  test('a stream gives whole characters only, and in the end everything', async () => {
    const tokenizer = (await folder({ 'tokenizer.json': JSON.stringify(gpt2Like()) })) as Tokenizer
    const stream = tokenizer.stream()
    const pieces = Array.from(tokenizer.encode(text), (id) => stream.push(id))
    expect(pieces.join('') + stream.flush()).toBe(text)
    expect(pieces).toContain('🐳')
    for (const piece of pieces) expect(piece).not.toContain('\uFFFD')
  })

  test('a broken file is named', async () => {
    await expect(folder({ 'tokenizer.json': '{"model": ' })).rejects.toThrow(/folder\/tokenizer\.json/)
  })

  test('a folder without one has none', async () => {
    expect(await folder({})).toBeNull()
  })
})

describe("RWKV's word list", () => {
  const lines = [
    ...Array.from({ length: 256 }, (_, byte) => `${byte + 1} b'\\x${byte.toString(16).padStart(2, '0')}' 1`),
    `257 'the' 3`,
    `258 ' the' 4`,
    `259 ' the whale' 10`,
    `260 "it's" 4`,
    `261 '\\n\\n' 2`,
    `262 'æ' 2`,
    `263 b'\\xf0\\x9f' 2`,
  ].join('\n')

  test('the longest word is taken, and what is no word falls apart into bytes', async () => {
    const tokenizer = (await folder({ [rwkvVocabularyFile]: lines })) as Tokenizer
    expect(Array.from(tokenizer.encode("the the whales it's\n\næ"))).toEqual([257, 259, 116, 33, 260, 261, 262])
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    expect(tokenizer.decode([257, 0, 258])).toBe('the the')
  })

  test('a stream holds back the bytes of a character', () => {
    const stream = TrieTokenizer.parse(lines).stream()
    expect([263, 0x90 + 1, 0xb3 + 1].map((id) => stream.push(id))).toEqual(['', '', '🐳'])
  })

  test('a line that is no word is named', () => {
    expect(() => TrieTokenizer.parse("1 'a' 1\n2 'b' 5")).toThrow(/line 2: expected an id, a Python literal/)
    expect(() => TrieTokenizer.parse("1 eval('x') 1")).toThrow(/line 1/)
    expect(() => TrieTokenizer.parse("1 'a' 1").decode([7])).toThrow(/below 2, got 7/)
    expect(() => TrieTokenizer.parse("1 'a' 1").encode('b')).toThrow(/which begins none/)
  })
})
