import { within } from '@mneme/testing/subject'
import { describe, expect, test } from 'vitest'
import type { ForgettingTransformerConfig } from './forgetting-transformer.js'
import type { Gpt2Config } from './gpt2.js'
import type { GriffinConfig } from './griffin.js'
import type { MinRnnConfig } from './min-rnn.js'
import { createModel } from './registry.js'
import retnet from './retnet.js'
import type { RwkvConfig } from './rwkv.js'
import type { TransformerConfig } from './transformer.js'
import type { TransformerXlConfig } from './transformer-xl.js'
import type { XlstmConfig } from './xlstm.js'

type LlamaSizes = Pick<
  TransformerConfig,
  'vocabulary' | 'dModel' | 'nLayers' | 'nHeads' | 'nKvHeads' | 'dHead' | 'dInner'
> &
  Partial<Pick<TransformerConfig, 'tieEmbeddings'>>

/** V D (1 or 2) + L (2 D H d + 2 D G d + 3 D F + 2 D) + D. */
function llama(c: LlamaSizes): number {
  const { vocabulary: V, dModel: D, nLayers: L, nHeads: H, nKvHeads: G, dHead: d, dInner: F } = c
  return V * D * (c.tieEmbeddings ? 1 : 2) + L * (2 * D * H * d + 2 * D * G * d + 3 * D * F + 2 * D) + D
}

type Gpt2Sizes = Pick<Gpt2Config, 'vocabulary' | 'dModel' | 'nLayers' | 'dInner' | 'positions' | 'tieEmbeddings'>

/** V D (1 or 2) + P D + L (4 D D + 4 D + 2 D F + F + D + 4 D) + 2 D. */
function gpt2({ vocabulary: V, dModel: D, nLayers: L, dInner: F, positions: P, tieEmbeddings }: Gpt2Sizes): number {
  return V * D * (tieEmbeddings ? 1 : 2) + P * D + L * (4 * D * D + 2 * D * F + F + 9 * D) + 2 * D
}

type XlSizes = Pick<TransformerXlConfig, 'vocabulary' | 'dModel' | 'nLayers' | 'nHeads' | 'dHead' | 'dInner'>

/** V D + V + 2 H d + L (5 D H d + 2 D F + F + D + 4 D), tied. */
function transformerXl({ vocabulary: V, dModel: D, nLayers: L, nHeads: H, dHead: d, dInner: F }: XlSizes): number {
  return V * D + V + 2 * H * d + L * (5 * D * H * d + 2 * D * F + F + D + 4 * D)
}

type MinRnnSizes = Pick<
  MinRnnConfig,
  'vocabulary' | 'dModel' | 'nLayers' | 'expansion' | 'ffMult' | 'convWidth' | 'cell'
>

/** 2 V D + D + L (norms 2 D, cell (2 or 3) D E + E D, feed-forward 2 D F + F + D, convolution D W + D + D D + D). */
function minRnn(c: MinRnnSizes): number {
  const { vocabulary: V, dModel: D, nLayers: L } = c
  const [E, F] = [Math.trunc(D * c.expansion), Math.trunc(D * c.ffMult)]
  const cell = (c.cell === 'minLSTM' ? 3 : 2) * D * E + (c.expansion === 1 ? 0 : E * D)
  const conv = c.convWidth > 0 ? D * c.convWidth + D + D * D + D : 0
  return 2 * V * D + D + L * (2 * D + cell + 2 * D * F + F + D + conv)
}

async function count(key: string, config: object): Promise<number> {
  let found = 0
  await within(async () => {
    const model = await createModel(key, config)
    found = model.parameterCount()
    model.dispose()
  })
  return found
}

describe('a decoder in the form of Llama', () => {
  const small: LlamaSizes = { vocabulary: 17, dModel: 12, nLayers: 2, nHeads: 6, nKvHeads: 2, dHead: 4, dInner: 20 }

  test.each([
    ['grouped queries', small],
    ['plain heads', { ...small, nKvHeads: 6 }],
    ['one layer, tied', { ...small, nLayers: 1, tieEmbeddings: true }],
  ])('%s: as many values as the formula says', async (_, sizes) => {
    expect(await count('transformer', sizes)).toBe(llama(sizes))
  })

  test('the formula gives the published 7B and 8B models', () => {
    const llama2 = { vocabulary: 32000, dModel: 4096, nLayers: 32, nHeads: 32, nKvHeads: 32, dHead: 128, dInner: 11008 }
    expect(llama(llama2)).toBe(6_738_415_616)
    const mistral = { ...llama2, nKvHeads: 8, dInner: 14336 }
    expect(llama(mistral)).toBe(7_241_732_096)
    expect(llama({ ...mistral, vocabulary: 128256 })).toBe(8_030_261_248)
  })
})

describe('a decoder in the form of GPT-2', () => {
  const sizes = { vocabulary: 17, dModel: 12, nLayers: 2, nHeads: 3, dHead: 4, dInner: 20 }

  test.each([true, false])(
    'tied %s: as many values as the formula says, without the idle biases of keys',
    async (tieEmbeddings) => {
      const config = { ...sizes, form: 'gpt2', tieEmbeddings, gpt2: { positions: 9 } }
      expect(await count('transformer', config)).toBe(
        gpt2({ ...sizes, tieEmbeddings, positions: 9 }) - sizes.nLayers * sizes.dModel,
      )
    },
  )

  test('the formula gives the published small model', () => {
    const small = { vocabulary: 50257, dModel: 768, nLayers: 12, dInner: 3072, positions: 1024, tieEmbeddings: true }
    expect(gpt2(small)).toBe(124_439_808)
  })
})

describe('memory around GPT-2', () => {
  const sizes = { vocabulary: 17, dModel: 12, nLayers: 2, nHeads: 3, dInner: 20, positions: 40, tieEmbeddings: true }
  const [L, D] = [sizes.nLayers, sizes.dModel]
  const plain = gpt2(sizes) - L * D

  test('ARMT: tokens, their positions, and 2 D K + D² + D + 1 values a layer', async () => {
    const [M, K] = [3, 5]
    const memories = M * D + L * (2 * D * K + D * D + D + 1)
    const config = { ...sizes, memoryTokens: M, dKey: K }
    expect(await count('armt', config)).toBe(plain + memories + M * D)
    expect(await count('armt', { ...config, ownPositions: false })).toBe(plain + memories)
  })
})

describe('Transformer-XL', () => {
  test('as many values as the formula says; the biases of all layers are one pair', async () => {
    const sizes: XlSizes = { vocabulary: 11, dModel: 8, nLayers: 3, nHeads: 2, dHead: 3, dInner: 10 }
    expect(await count('transformer-xl', sizes)).toBe(transformerXl(sizes))
  })

  test('the formula gives the 12 layers of enwik8', () => {
    const enwik8 = { vocabulary: 204, dModel: 512, nLayers: 12, nHeads: 8, dHead: 64, dInner: 2048 }
    expect(transformerXl({ ...enwik8, nLayers: 1 }) - transformerXl({ ...enwik8, nLayers: 0 })).toBe(3_412_480)
    expect(transformerXl(enwik8)).toBe(41_055_436)
  })
})

describe('minGRU and minLSTM', () => {
  const sizes: MinRnnSizes = {
    vocabulary: 11,
    dModel: 6,
    nLayers: 2,
    expansion: 1.5,
    ffMult: 2,
    convWidth: 0,
    cell: 'minGRU',
  }

  test.each([
    ['minGRU', sizes],
    ['minLSTM', { ...sizes, cell: 'minLSTM' as const }],
    ['a convolution in front', { ...sizes, convWidth: 3 }],
    ['expansion 1, without an output projection', { ...sizes, expansion: 1 }],
  ])('%s: as many values as the formula says', async (_, config) => {
    expect(await count('min-rnn', config)).toBe(minRnn(config))
  })
})

type GriffinSizes = Pick<
  GriffinConfig,
  'vocabulary' | 'dModel' | 'nLayers' | 'pattern' | 'nHeads' | 'dHead' | 'dRecurrent' | 'convWidth' | 'dInner'
>

/** Feed-forward and norms 3 D F + 2 F + 3 D, and of a recurrent or an attention layer what mixes time; one KV head. */
function griffinLayer(kind: 'recurrent' | 'attention', c: GriffinSizes): number {
  const { dModel: D, nHeads: H, dHead: d, dRecurrent: E, convWidth: W, dInner: F } = c
  const recurrent = 3 * D * E + 2 * E + D + (W + 1) * E + 2 * ((E * E) / H + E) + E
  const attention = 2 * D * H * d + 2 * D * d + D
  return 3 * D * F + 2 * F + 3 * D + (kind === 'recurrent' ? recurrent : attention)
}

function griffin(c: GriffinSizes): number {
  const layers = Array.from({ length: c.nLayers }, (_, i) => c.pattern[i % c.pattern.length] ?? 'recurrent')
  return layers.reduce((total, kind) => total + griffinLayer(kind, c), c.vocabulary * c.dModel + c.dModel)
}

describe('Griffin', () => {
  const pattern = ['recurrent', 'recurrent', 'attention'] as const

  test('as many values as the formula says', async () => {
    const sizes: GriffinSizes = {
      vocabulary: 11,
      dModel: 8,
      nLayers: 4,
      pattern,
      nHeads: 2,
      dHead: 4,
      dRecurrent: 6,
      convWidth: 3,
      dInner: 10,
    }
    expect(await count('griffin', sizes)).toBe(griffin(sizes))
  })

  test('the formula gives the published 2B model', () => {
    const sizes: GriffinSizes = {
      vocabulary: 256_000,
      dModel: 2560,
      nLayers: 26,
      pattern,
      nHeads: 10,
      dHead: 256,
      dRecurrent: 2560,
      convWidth: 4,
      dInner: 7680,
    }
    expect(griffinLayer('recurrent', sizes)).toBe(80_005_120)
    expect(griffinLayer('attention', sizes)).toBe(73_425_920)
    expect(griffin(sizes)).toBe(2_682_862_080)
  })
})

type RwkvSizes = Pick<RwkvConfig, 'vocabulary' | 'dModel' | 'nLayers'>

/** 2 V D + 13 D² L + D (11 L + 4), with feed-forwards four times as wide as the model. */
function rwkv({ vocabulary: V, dModel: D, nLayers: L }: RwkvSizes): number {
  return 2 * V * D + 13 * D * D * L + D * (11 * L + 4)
}

describe('RWKV-4', () => {
  test('as many values as the formula says', async () => {
    const sizes: RwkvSizes = { vocabulary: 11, dModel: 6, nLayers: 3 }
    expect(await count('rwkv', { ...sizes, dAttention: 6, dInner: 24 })).toBe(rwkv(sizes))
  })

  test('the formula gives the published 169M model', () => {
    expect(rwkv({ vocabulary: 50_277, dModel: 768, nLayers: 12 })).toBe(169_342_464)
  })
})

type FoxSizes = Pick<ForgettingTransformerConfig, 'dModel' | 'nLayers' | 'nHeads' | 'dInner'>

/** Beside the tables of tokens: L (5 D² + 3 D H + H + 3 D + 3 D F + 2 D) + D. */
function foxPro({ dModel: D, nLayers: L, nHeads: H, dInner: F }: FoxSizes): number {
  return L * (5 * D * D + 3 * D * H + H + 3 * D + 3 * D * F + 2 * D) + D
}

describe('Forgetting transformer, Pro', () => {
  test('as many values as the formula says', async () => {
    const sizes: FoxSizes = { dModel: 8, nLayers: 2, nHeads: 2, dInner: 12 }
    const pro = { qkNorm: true, outputNorm: true, outputGate: true, kvShift: true }
    const config = { ...sizes, ...pro, vocabulary: 11, nKvHeads: 2 }
    expect(await count('forgetting-transformer', config)).toBe(foxPro(sizes) + 2 * 11 * 8)
  })

  test('the formula gives the published 125M and 760M models', () => {
    expect(foxPro({ dModel: 768, nLayers: 12, nHeads: 12, dInner: 1792 })).toBe(85_313_424)
    expect(foxPro({ dModel: 1536, nLayers: 24, nHeads: 24, dInner: 3584 })).toBe(682_317_888)
  })
})

type XlstmSizes = Pick<XlstmConfig, 'vocabulary' | 'dModel' | 'nLayers' | 'nHeads' | 'expandK' | 'expandV' | 'dInner'>

/** 2 V D + D + L (2 D, maps 2 D K + 3 D V, gates 2 (D H + H), norm V, feed-forward 3 D F), K and V of all heads. */
function xlstm({ vocabulary, dModel: D, nLayers: L, nHeads: H, expandK, expandV, dInner: F }: XlstmSizes): number {
  const [K, V] = [D * expandK, D * expandV]
  const layer = 2 * D + 2 * D * K + 3 * D * V + 2 * (D * H + H) + V + 3 * D * F
  return 2 * vocabulary * D + D + L * layer
}

describe('xLSTM in the form of the 7B model', () => {
  test('as many values as the formula says', async () => {
    const sizes: XlstmSizes = {
      vocabulary: 11,
      dModel: 8,
      nLayers: 2,
      nHeads: 2,
      expandK: 0.5,
      expandV: 1,
      dInner: 12,
    }
    expect(await count('xlstm', sizes)).toBe(xlstm(sizes))
  })

  test('the formula gives the published 7B model', () => {
    const sizes = { vocabulary: 50_304, dModel: 4096, nLayers: 32, nHeads: 8, expandK: 0.5, expandV: 1, dInner: 10_944 }
    expect(xlstm(sizes)).toBe(6_865_424_896)
  })
})

test('RetNet: matrices of 12 D² values a layer, with values and feed-forwards twice as wide as the model', async () => {
  await within(async () => {
    const [D, nLayers] = [8, 3]
    const torchscale = { ...retnet.tiny.torchscale, valueWidth: 2 * D, gated: false }
    const model = retnet.build({ ...retnet.tiny, form: 'torchscale', dModel: D, nLayers, dInner: 2 * D, torchscale })
    const matrices = [...model.namedParameters()].filter(
      ([path, v]) => path.startsWith('body.') && v.shape.length === 2,
    )
    expect(matrices.reduce((total, [, v]) => total + v.size, 0)).toBe(nLayers * 12 * D * D)
    model.dispose()
  })
})
