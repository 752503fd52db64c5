import {
  fromStored,
  type NamedTensor,
  nextTokenLoss,
  storedNames,
  type TokenModel,
  valueAndGrads,
} from '@mneme/core-tensor'
import { type Golden, type GoldenTensor, goldenDirectory, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { cast, div, equal, mul, slice, sum, type Tensor, type Tensor2D, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { fromPretrained, type LoadOptions, type Pretrained } from './pretrained.js'
import { loadPaper, publishedTypes } from './registry.js'

/** float32 against float32, both with their own order of summation. */
const STEPS = 1e-4
/** A software GPU takes a tenth of a second a token. */
const STEPPED = process.env.MNEME_BACKEND === 'webgpu' ? 8 : undefined

/** What the checkpoint says it is, unless the file of its code is that of another model. */
function typeOf(golden: Golden): string | null {
  if (!golden.files.includes('config.json') || !golden.files.includes('grads.safetensors')) return null
  const config = golden.json('config')
  const source = String(golden.json('meta').reference)
  if (config.model_type !== undefined && !/^(huggingface\/transformers|fla-org)/.test(source)) return variantOf(golden)
  return String(
    config.model_type ??
      String(config.reference ?? '')
        .split(',')
        .at(-1)
        ?.trim(),
  )
}

/** A variant under the name of its ancestor is called after the file of its code: `modeling_ancestor_variant.py`. */
function variantOf(golden: Golden): string | null {
  const type = String(golden.json('config').model_type)
  const [, code, variant] = /modeling_([a-z]+)(?:_([a-z]+))?\.py$/.exec(String(golden.json('meta').files)) ?? []
  return code === type ? (variant ?? type) : null
}

/** Who wrote it: `owner/name`. */
const repository = (reference: unknown): string => /^[^@,\s]+/.exec(String(reference))?.[0] ?? ''

/** A class of the same name in another repository is another model. */
async function isOurs(golden: Golden, type: string): Promise<boolean> {
  const config = golden.json('config')
  if (config.model_type !== undefined) return true
  const { checkpoint, tiny } = await loadPaper(publishedTypes[type as keyof typeof publishedTypes])
  const known = checkpoint?.repositories ?? [repository(checkpoint?.publish(tiny).reference)]
  return known.includes(repository(config.reference))
}

for (const golden of goldens()) {
  const type = typeOf(golden)
  if (type === null || !Object.hasOwn(publishedTypes, type)) continue
  if (await isOurs(golden, type)) describeGolden(golden, type === variantOf(golden) ? { modelType: type } : {})
}

/** Published weights give the authors' scores, step by step too, and the authors' gradients. */
function describeGolden(golden: Golden, options: LoadOptions): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const ids = expected.get('input_ids') ?? expected.get('tokens')
    const scores = expected.get('logits')

    if (scores) {
      test('scores: whole, in pieces, token by token', async () => {
        await within(async () => {
          const { model } = await fromPretrained(goldenDirectory(golden), options)
          const x = toTensor(ids as GoldenTensor)
          const T = x.shape[1] as number
          const limit = Math.max(tolerances.forward(), 2e-5)
          const resets = resetsOf(expected)
          const whole = model.forward(x, undefined, resets && { training: false, resets })
          expectClose(await read(whole.y), scores.values, limit, 'scores')
          const pieces = inPieces(model as unknown as Sequence, x, [7, 1, T - 8], undefined, resets)
          expectClose(await read(pieces.y), scores.values, STEPS, 'scores in pieces')
          const ones = Array<number>(STEPPED ?? T).fill(1)
          const steps = inPieces(model as unknown as Sequence, x, ones, undefined, resets)
          const width = scores.shape[2] as number
          for (const [row, values] of (await rowsOf(steps.y)).entries()) {
            const from = row * T * width
            expectClose(values, scores.values.slice(from, from + values.length), STEPS, `row ${row} token by token`)
          }
          model.dispose()
        })
      })
    }

    test('gradients of every parameter', async () => {
      await within(async () => {
        const pretrained = await fromPretrained(goldenDirectory(golden), options)
        const { model } = pretrained
        const grads = golden.read('grads')
        const parameters = [...model.namedParameters()]
        const result = valueAndGrads(
          () => goldenLoss(model, expected),
          parameters.map(([, v]) => v),
        )
        expectClose(await read(result.value), (expected.get('loss') as GoldenTensor).values, 1e-4, 'loss')
        const names = namesOf(
          pretrained,
          parameters.map(([path]) => path),
        )
        // asked for together: on a GPU each read waits for the queue
        const actual = await Promise.all(parameters.map(([, v], i) => read(result.grads[i] ?? zeros(v.shape))))
        for (const [i, [path]] of parameters.entries()) {
          const place = names.get(path)
          const stored = grads.get(place?.name ?? '')
          if (place === undefined || stored === undefined) continue
          const { values } = fromStored(stored as NamedTensor, place.rule)
          expectClose(actual[i] as Float32Array, values, tolerances.gradient(), `gradient of ${path}`)
        }
        model.dispose()
      })
    })
  })
}

/** Packed documents start where their positions do. */
function resetsOf(expected: ReadonlyMap<string, GoldenTensor>): Tensor2D | undefined {
  const positions = expected.get('segment_pos')
  return positions && (cast(equal(toTensor(positions), 0), 'float32') as Tensor2D)
}

/** Values of each row of a batch. */
async function rowsOf(x: Tensor): Promise<Float32Array[]> {
  const values = await read(x)
  const size = values.length / (x.shape[0] as number)
  return Array.from({ length: x.shape[0] as number }, (_, row) => values.slice(row * size, (row + 1) * size))
}

const namesOf = ({ paper, config }: Pretrained, paths: readonly string[]): ReturnType<typeof storedNames> =>
  storedNames(paths, paper.checkpoint?.names(config) ?? [])

/** Mean next-token cross entropy, or the weighted sum of what the golden calls its output. */
function goldenLoss(model: TokenModel, expected: ReadonlyMap<string, GoldenTensor>): Tensor {
  const weights = expected.get('g.nll')
  const ids = toTensor((expected.get('input_ids') ?? expected.get('tokens')) as GoldenTensor)
  const [B, T] = ids.shape as [number, number]
  const targets = slice(ids, [0, 1], [B, T - 1])
  if (weights) {
    const { nll } = nextTokenLoss(model.forward(slice(ids, [0, 0], [B, T - 1])).y, targets)
    return div(sum(mul(nll, toTensor(weights))), nll.size)
  }
  const resets = resetsOf(expected)
  const { y } = model.forward(ids, undefined, resets && { training: true, resets })
  return nextTokenLoss(slice(y, [0, 0, 0], [B, T - 1, -1]), targets).loss
}
