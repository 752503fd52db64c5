import {
  fromStored,
  type NamedTensor,
  nextTokenLoss,
  type Pass,
  storedNames,
  type TokenModel,
  valueAndGrads,
} from '@mneme/core-tensor'
import { type Golden, type GoldenTensor, goldenDirectory, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { div, mul, slice, sum, type Tensor, type Tensor2D, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { fromPretrained, type Pretrained } from './pretrained.js'
import { loadPaper, publishedTypes } from './registry.js'

/** float32 against float32, both with their own order of summation. */
const STEPS = 1e-4
/** A software GPU takes a tenth of a second a token. */
const STEPPED = process.env.MNEME_BACKEND === 'webgpu' ? 8 : undefined

/** What the checkpoint says it is. */
function typeOf(golden: Golden): string | null {
  if (!golden.files.includes('config.json') || !golden.files.includes('grads.safetensors')) return null
  const { model_type: type, reference } = golden.json('config')
  return String(
    type ??
      String(reference ?? '')
        .split(',')
        .at(-1)
        ?.trim(),
  )
}

/** Who wrote it: `owner/name`. */
const repository = (reference: unknown): string => /^[^@,\s]+/.exec(String(reference))?.[0] ?? ''

/** Layouts that name no reference are those of these libraries. */
const libraries = ['huggingface/transformers', 'fla-org/flash-linear-attention']

/** A type of the same name in another repository is another model. */
async function isOurs(golden: Golden, type: string): Promise<boolean> {
  const { checkpoint, tiny } = await loadPaper(publishedTypes[type as keyof typeof publishedTypes])
  const reference = checkpoint?.publish(tiny).reference
  const wrote = repository(golden.json('meta').reference)
  return reference === undefined ? libraries.includes(wrote) : repository(reference) === wrote
}

for (const golden of goldens()) {
  const type = typeOf(golden)
  if (type === null || !Object.hasOwn(publishedTypes, type)) continue
  if (await isOurs(golden, type)) describeGolden(golden)
}

/** Published weights give the authors' scores, step by step too, and the authors' gradients. */
function describeGolden(golden: Golden): void {
  describe(`golden ${golden.name}`, () => {
    const expected = golden.read('expected')
    const ids = expected.get('input_ids') ?? expected.get('tokens')
    const scores = expected.get('logits')

    if (scores) {
      test('scores: whole, in pieces, token by token', async () => {
        await within(async () => {
          const { model } = await fromPretrained(goldenDirectory(golden))
          const x = toTensor(ids as GoldenTensor)
          const T = x.shape[1] as number
          const limit = Math.max(tolerances.forward(), 2e-5)
          expectClose(await read(model.forward(x, undefined, passOf(expected)).y), scores.values, limit, 'scores')
          const plain = expected.get('logits_default')
          if (plain) expectClose(await read(model.forward(x).y), plain.values, limit, 'scores of plain tokens')
          if (model.traits.whole || !model.traits.causal) return model.dispose()
          const pieces = inPieces(model as unknown as Sequence, x, [7, 1, T - 8])
          expectClose(await read(pieces.y), scores.values, STEPS, 'scores in pieces')
          const steps = inPieces(model as unknown as Sequence, x, Array<number>(STEPPED ?? T).fill(1))
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
        const pretrained = await fromPretrained(goldenDirectory(golden))
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
          const wanted = fromStored(stored as NamedTensor, place.rule).values
          expectClose(actual[i] as Float32Array, wanted, tolerances.gradient(), `gradient of ${path}`)
        }
        model.dispose()
      })
    })
  })
}

/** Values of each row of a batch. */
async function rowsOf(x: Tensor): Promise<Float32Array[]> {
  const values = await read(x)
  const size = values.length / (x.shape[0] as number)
  return Array.from({ length: x.shape[0] as number }, (_, row) => values.slice(row * size, (row + 1) * size))
}

const namesOf = ({ paper, config }: Pretrained, paths: readonly string[]): ReturnType<typeof storedNames> =>
  storedNames(paths, paper.checkpoint?.names(config) ?? [])

/** Padding and kinds of tokens, where the golden has them. */
function passOf(expected: ReadonlyMap<string, GoldenTensor>): Pass {
  const [mask, types] = [expected.get('attention_mask'), expected.get('token_type_ids')]
  return {
    training: false,
    ...(mask && { mask: toTensor({ ...mask, values: Float32Array.from(mask.values) }) as Tensor2D }),
    ...(types && { tokenTypes: toTensor(types) as Tensor2D }),
  }
}

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
  const { y } = model.forward(ids, undefined, passOf(expected))
  return nextTokenLoss(slice(y, [0, 0, 0], [B, T - 1, -1]), targets).loss
}
