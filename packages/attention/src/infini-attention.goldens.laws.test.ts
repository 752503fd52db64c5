import {
  Embedding,
  gelu,
  LanguageModel,
  Linear,
  type NamedTensor,
  nextTokenLoss,
  RMSNorm,
  Rng,
  residualStack,
  SwiGLU,
  valueAndGrads,
} from '@mneme/core-tensor'
import { type Golden, type GoldenTensor, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { slice, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { InfiniAttention, type InfiniState } from './infini-attention.js'

/** Rows `part` of `parts` equal ones. */
function rowsOf({ shape, values }: GoldenTensor, part: number, parts: number): NamedTensor {
  const size = values.length / parts
  return {
    shape: [(shape[0] as number) / parts, ...shape.slice(1)],
    values: values.slice(part * size, (part + 1) * size),
  }
}

/** A stored tensor under our paths: some are cut in parts. */
function renamed(name: string, stored: GoldenTensor): [path: string, tensor: NamedTensor][] {
  const layer = /^layers\.(\d+)\.([01])\.(.+)$/.exec(name)
  if (layer === null) {
    const path = name
      .replace('token_emb', 'embedding')
      .replace('norm.gamma', 'norm.weight')
      .replace('to_logits', 'head')
    return [[path, stored]]
  }
  const [, i, half, rest] = layer as unknown as [string, string, string, string]
  const at = (path: string): string => `body.layers.${i}.${path}`
  if (half === '1') {
    if (rest === 'norm.gamma') return [[at('mlpNorm.weight'), stored]]
    const kind = rest.split('.')[1] as string
    if (rest.startsWith('proj_out')) return [[at(`mlp.downProj.${kind}`), stored]]
    return ['up', 'gate'].map((p, part) => [at(`mlp.${p}Proj.${kind}`), rowsOf(stored, part, 2)])
  }
  if (rest === 'to_qkv.weight')
    return ['q', 'k', 'v'].map((p, part) => [at(`mixer.${p}Proj.weight`), rowsOf(stored, part, 3)])
  const paths: Readonly<Record<string, string>> = {
    'norm.gamma': 'mixerNorm.weight',
    'to_out.weight': 'mixer.oProj.weight',
    'rotary_emb.freqs': 'mixer.frequencies',
    'fastweight_mem.head_gates': 'mixer.gate',
  }
  return [[at(paths[rest] as string), stored]]
}

const byPath = (tensors: ReadonlyMap<string, GoldenTensor>): Record<string, NamedTensor> =>
  Object.fromEntries([...tensors].flatMap(([name, stored]) => renamed(name, stored)))

function modelOf(golden: Golden): LanguageModel {
  const config = golden.json('config')
  const number = (key: string): number => config[key] as number
  const [D, rng] = [number('dim'), new Rng(0)]
  const norm = (): RMSNorm => new RMSNorm(D, 1e-20)
  const model = new LanguageModel({
    embedding: new Embedding(number('num_tokens'), D, rng, 1),
    body: residualStack(
      Array.from({ length: number('depth') }, () => ({
        mixerNorm: norm(),
        mixer: new InfiniAttention(
          {
            dModel: D,
            nHeads: number('heads'),
            dHead: number('dim_head'),
            segment: number('segment_length'),
            deltaRule: config.use_mem_delta_rule === true,
            rotary: 'stored',
            gateOn: 'local',
            gateFirst: false,
            gateInit: 10,
          },
          rng,
        ),
        mlpNorm: norm(),
        mlp: new SwiGLU(D, Math.trunc((number('ff_mult') * D * 2) / 3), rng, { bias: true }, gelu),
      })),
    ),
    norm: norm(),
    head: new Linear(D, number('num_tokens'), rng),
  })
  model.loadStateDict(byPath(golden.read('weights')))
  return model
}

describe('goldens of infini-transformer', () => {
  test('a fused weight is cut into its parts in order', () => {
    const stored = { shape: [6, 1], values: Float32Array.from([0, 1, 2, 3, 4, 5]) }
    const parts = renamed('layers.0.0.to_qkv.weight', stored).map(([path, { values }]) => [path, [...values]])
    expect(parts).toEqual([
      ['body.layers.0.mixer.qProj.weight', [0, 1]],
      ['body.layers.0.mixer.kProj.weight', [2, 3]],
      ['body.layers.0.mixer.vProj.weight', [4, 5]],
    ])
  })

  for (const golden of goldens()) if (golden.name.startsWith('infini-transformer')) describeGolden(golden)
})

function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

    test('scores and memories: whole, in pieces, token by token', async () => {
      await within(async () => {
        const model = modelOf(golden)
        const ids = toTensor(value('input_ids'))
        const T = ids.shape[1] as number
        const limit = Math.max(tolerances.forward(), 2e-5)
        for (const sizes of [[T], [7, 1, T - 8], Array<number>(T).fill(1)]) {
          const { y, state } = inPieces(model as unknown as Sequence, ids, sizes)
          expectClose(await read(y), value('logits').values, limit, `scores in ${sizes.length} pieces`)
          for (const [i, layer] of (state as unknown as readonly InfiniState[]).entries()) {
            expectClose(await read(layer.memory), value(`kv_mem.${i}`).values, limit, `memory ${i}`)
            expectClose(await read(layer.normaliser), value(`k_norm.${i}`).values, limit, `normaliser ${i}`)
          }
        }
        model.dispose()
      })
    })

    test('gradients of every parameter', async () => {
      await within(async () => {
        const model = modelOf(golden)
        const ids = toTensor(value('input_ids'))
        const [B, T] = ids.shape as [number, number]
        const parameters = [...model.namedParameters()].filter(([, v]) => v.trainable)
        const { value: loss, grads } = valueAndGrads(
          (): Tensor => {
            const { y } = model.forward(ids)
            return nextTokenLoss(slice(y, [0, 0, 0], [B, T - 1, -1]), slice(ids, [0, 1], [B, T - 1])).loss
          },
          parameters.map(([, v]) => v),
        )
        expectClose(await read(loss), value('loss').values, 1e-5, 'loss')
        const stored = byPath(golden.read('grads'))
        for (const [i, [path, v]] of parameters.entries()) {
          const wanted = (stored[path] as NamedTensor).values
          expectClose(await read(grads[i] ?? zeros(v.shape)), wanted, tolerances.gradient(), path)
        }
        model.dispose()
      })
    })
  })
}
