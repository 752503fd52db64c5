import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BytePairTokenizer, trainBytePairs } from './bpe.js'
import { entropies, largestOrder, NgramModel } from './ngram.js'
import { novel, novelTokenizer, novelTokens } from './novel.js'
import { novelParts, novelSplit, novelText } from './novel-text.js'
import { ByteTokenizer, CharacterTokenizer, type Tokenizer } from './tokenizer.js'

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'grapheme-ascii' }),
)

const small = trainBytePairs('the whale, the white whale; the whale’s whiteness — 鯨 鯨 🐳🐳 🐳', 300)

/** What a streaming decoder gives, piece by piece. */
function pieces(tokenizer: Tokenizer, ids: ArrayLike<number>): string[] {
  const stream = tokenizer.stream()
  return [...Array.from(ids, (id) => stream.push(id)), stream.flush()]
}

describe.each<[string, Tokenizer]>([
  ['bytes', new ByteTokenizer()],
  ['byte pairs', small],
])('%s', (_, tokenizer) => {
  it('gives any text back, whole and in a stream that splits no character', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encode(text)
        expect(tokenizer.decode(ids)).toBe(text)
        const parts = pieces(tokenizer, ids)
        expect(parts.join('')).toBe(text)
        expect(parts.some((part) => /\p{Surrogate}/u.test(part))).toBe(false)
        if (!text.includes('\uFFFD')) expect(parts.some((part) => part.includes('\uFFFD'))).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps a leading byte order mark, and marks a character cut short', () => {
    expect(tokenizer.decode(tokenizer.encode('\uFEFFa\uFEFF'))).toBe('\uFEFFa\uFEFF')
    const bytes = new ByteTokenizer().encode('€')
    expect(pieces(new ByteTokenizer(), bytes.slice(0, 2))).toEqual(['', '', '\uFFFD'])
    expect(pieces(new ByteTokenizer(), bytes)).toEqual(['', '', '€', ''])
  })

  it('refuses an id it has not', () => {
    expect(() => tokenizer.decode([tokenizer.size])).toThrow(/expected an id in \[0, /)
    expect(() => tokenizer.stream().push(-1)).toThrow(RangeError)
  })
})

describe('CharacterTokenizer', () => {
  it('sorts by code point and gives the text back', () => {
    const tokenizer = CharacterTokenizer.of('b🐳a\uFFFDé🐳')
    expect(tokenizer.characters).toEqual(['a', 'b', 'é', '\uFFFD', '🐳'])
    expect(Array.from(tokenizer.encode('🐳ab'))).toEqual([4, 0, 1])
    expect(pieces(tokenizer, [4, 0])).toEqual(['🐳', 'a', ''])
    fc.assert(
      fc.property(
        anyText,
        (text) => CharacterTokenizer.of(text).decode(CharacterTokenizer.of(text).encode(text)) === text,
      ),
    )
  })

  it('says which character it has not', () => {
    expect(() => CharacterTokenizer.of('ab').encode('abc')).toThrow(/got "c" at character 2/)
    expect(() => CharacterTokenizer.of('ab').decode([2])).toThrow(/expected an id in \[0, 2\)/)
  })
})

describe('byte pairs', () => {
  /** Counts every pair anew for each merge. */
  function bruteForce(words: readonly string[], size: number): string[] {
    const bytes = new BytePairTokenizer([])
    let lists = words.map((word) => Array.from(bytes.encode(word)))
    const merges: string[] = []
    for (let id = 256; id < size; id++) {
      const counts = new Map<string, { pair: [number, number]; count: number }>()
      for (const ids of lists) {
        for (let i = 1; i < ids.length; i++) {
          const pair: [number, number] = [ids[i - 1] ?? 0, ids[i] ?? 0]
          counts.set(pair.join(), { pair, count: (counts.get(pair.join())?.count ?? 0) + 1 })
        }
      }
      const [best] = [...counts.values()].sort(
        (a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1],
      )
      if (best === undefined || best.count < 2) break
      merges.push(best.pair.join())
      lists = lists.map((ids) => {
        const joined: number[] = []
        for (const next of ids) {
          if (joined.at(-1) === best.pair[0] && next === best.pair[1]) joined.splice(-1, 1, id)
          else joined.push(next)
        }
        return joined
      })
    }
    return merges
  }

  it('learns what counting everything anew learns', async () => {
    const text = (await novelText('train', 16)).slice(0, 6000).replace(/[^a-z ]/g, '')
    const words = text.match(/ ?[a-z]+| +(?!\S)| +/g) ?? []
    expect(words.join('')).toBe(text)
    expect(trainBytePairs(text, 340).merges.map((pair) => pair.join())).toEqual(bruteForce(words, 340))
    expect(trainBytePairs('aaaaaaa aaaaa', 300).merges.map((pair) => pair.join())).toEqual(
      bruteForce(['aaaaaaa', ' aaaaa'], 300),
    )
  })

  it('stops when no pair occurs twice, and refuses a size below the bytes', () => {
    expect(trainBytePairs('abc', 1000).size).toBe(256)
    expect(() => trainBytePairs('abc', 255)).toThrow(/trainBytePairs.size: expected an integer in \[256, 65536\]/)
  })

  it('goes through tokenizer.json, and takes no other', () => {
    const json = JSON.parse(JSON.stringify(small.toJSON()))
    expect(BytePairTokenizer.fromJSON(json).merges).toEqual(small.merges)
    expect(json.model.vocab).toMatchObject({ '!': 0, a: 64, Ġ: 220 })
    expect(json.model.merges).toHaveLength(small.size - 256)
    const refused = [
      { ...json, added_tokens: [{ id: 300 }] },
      { ...json, pre_tokenizer: null },
      { ...json, model: { ...json.model, vocab: { ...json.model.vocab, a: 65 } } },
      { ...json, model: { ...json.model, vocab: { ...json.model.vocab, more: 300 } } },
      { ...json, model: { ...json.model, merges: ['a unheard', ...json.model.merges] } },
    ]
    for (const other of refused)
      expect(() => BytePairTokenizer.fromJSON(other)).toThrow(/fromJSON: expected byte-level/)
  })

  it('gives the ids of Hugging Face tokenizers 0.23.2, which learnt the same vocabulary from the same text', async () => {
    const tokenizer = await novelTokenizer({ level: 'bpe' })
    expect(tokenizer.size).toBe(1024)
    const expected: [string, number[]][] = [
      [
        'Call me Ishmael.  Some years ago\n\n  never—mind\t\t x',
        [
          34, 388, 399, 315, 802, 76, 64, 440, 13, 220, 352, 395, 472, 591, 498, 78, 198, 198, 220, 762, 346, 76, 488,
          197, 197, 220, 87,
        ],
      ],
      [
        "don't we'll I'M '\u0085\uFEFF a\u00A0b 123 ½ ١٢ 한국어 🐳🐋 é",
        [
          67, 279, 696, 355, 6, 286, 315, 6, 44, 891, 126, 227, 171, 119, 123, 258, 126, 254, 65, 220, 16, 17, 18, 220,
          126, 121, 220, 149, 94, 149, 95, 220, 169, 243, 250, 166, 113, 255, 168, 244, 112, 220, 172, 253, 238, 111,
          172, 253, 238, 233, 308, 136, 223,
        ],
      ],
      ['   \n \n', [437, 220, 198, 220, 198]],
    ]
    for (const [text, ids] of expected) expect(Array.from(tokenizer.encode(text))).toEqual(ids)
  })
})

describe('n-grams', () => {
  it('measures entropies by hand-computed cases', () => {
    // a b a b a: H1 of 3/5 and 2/5; each token tells the next
    const alternating = entropies([0, 1, 0, 1, 0], 2)
    expect(alternating.unigram).toBeCloseTo(-(0.6 * Math.log(0.6) + 0.4 * Math.log(0.4)), 12)
    expect(alternating.pair).toBeCloseTo(Math.LN2, 12)
    expect(alternating.conditional).toBeCloseTo(0, 12)
  })

  it('gives probabilities that sum to one', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(tokens, tokens, fc.integer({ min: 1, max: 4 }), (train, context, order) => {
        const model = new NgramModel(train, 4, order)
        const total = [0, 1, 2, 3].reduce((sum, id) => sum + model.probability([...context, id], context.length), 0)
        expect(total).toBeCloseTo(1, 10)
      }),
    )
  })

  it('interpolates as Witten and Bell say', () => {
    // a a b: p1(b) = (1 + 2 / 3) / (3 + 2) over three ids; after a: c 2, types 2
    const model = new NgramModel([0, 0, 1], 3, 2)
    const unigram = (1 + 2 / 3) / 5
    expect(model.probability([1], 0)).toBeCloseTo(unigram, 12)
    expect(model.probability([0, 1], 1)).toBeCloseTo((1 + 2 * unigram) / 4, 12)
    expect(model.probability([2, 1], 1)).toBeCloseTo(unigram, 12)
    expect(() => new NgramModel([0], 1024, largestOrder(1024) + 1)).toThrow(/NgramModel.order/)
  })
})

describe('novel', () => {
  it('is the whole book in 139 parts and 89 characters', async () => {
    expect(await novelParts()).toHaveLength(139)
    const text = await novelText('all')
    expect(text).toHaveLength(1_212_868)
    const tokenizer = await novelTokenizer({})
    expect(tokenizer.size).toBe(89)
    expect(Array.from({ length: 89 }, (_, id) => tokenizer.decode([id])).join('')).toBe(
      '\n !"$&\'()*,-.0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyzŒηοςτϰחן—',
    )
    expect(tokenizer.decode((await novelTokens({}, 'all')).tokens)).toBe(text)
  })

  it('holds out whole parts, each in one split', async () => {
    const parts = await novelParts()
    const sizes = await Promise.all(
      (['train', 'validation', 'test'] as const).map(async (split) => (await novelText(split)).length),
    )
    expect(sizes).toEqual([1_085_012, 55_064, 72_792])
    expect([5, 15, 25, 138].map(novelSplit)).toEqual(['validation', 'test', 'validation', 'train'])
    expect((await novelText('validation', 16)) + (await novelText('test', 16))).toBe(
      [5, 15].map((index) => parts[index]?.text).join(''),
    )
  })

  it('measures its baselines: H2, the conditional bigram entropy, is 2.416 nats a character', async () => {
    const found = new Map((await novel.baselines({})).map(({ name, lossNats }) => [name, lossNats]))
    expect([...found.values()].map((nats) => nats?.toFixed(3))).toEqual([
      '4.489',
      '3.046',
      '2.413',
      '1.486',
      '3.063',
      '2.416',
    ])
    expect(found.get('H2, conditional bigram entropy of the whole text')).toBeCloseTo(2.41609, 5)
  })

  it('has fewer tokens at level bpe, and the same text', async () => {
    const perToken = (await novel.charactersPerToken?.({ level: 'bpe' }, 'validation')) ?? 0
    expect(perToken).toBeCloseTo(2.699, 3)
    expect(await novel.charactersPerToken?.({}, 'validation')).toBe(1)
    const tokenizer = await novelTokenizer({ level: 'bpe' })
    expect(tokenizer.decode((await novelTokens({ level: 'bpe' }, 'test')).tokens)).toBe(await novelText('test'))
  })

  it('reads rows of the text that follow each other', async () => {
    const stream = await novel.open({ length: 40 }, 'validation', 1, 3)
    const tokenizer = await novelTokenizer({})
    const rows = ['', '', '']
    for (let k = 0; k < 5; k++) {
      const batch = stream.next()
      expect(batch.continues).toBe(k > 0)
      for (const b of rows.keys()) rows[b] += tokenizer.decode(batch.inputs.slice(b * 40, (b + 1) * 40))
    }
    const text = await novelText('validation')
    const stride = Math.ceil((text.length - 1) / 3)
    expect(rows).toEqual([0, 1, 2].map((b) => text.slice(b * stride, b * stride + 200)))
  })
})
