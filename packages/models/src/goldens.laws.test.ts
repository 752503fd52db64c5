import {
  fromStored,
  type Mixed,
  type NamedTensor,
  nextTokenLoss,
  type Pass,
  storedNames,
  type TokenModel,
  valueAndGrads,
} from '@mneme/core-tensor'
import { type Golden, type GoldenTensor, goldenDirectory, goldens, toTensor } from '@mneme/testing/goldens'
import { inPieces, read, type Sequence, span, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { cast, concat, div, equal, mul, slice, sum, type Tensor, type Tensor2D, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { fromPretrained, type LoadOptions, type Pretrained } from './pretrained.js'
import { loadPaper, publishedTypes } from './registry.js'

/** float32 against float32, both with their own order of summation. */
const STEPS = 1e-4
/** In pieces, and token by token; a software GPU takes a tenth of a second a token, so there it is some of both. */
const splits = (T: number): number[][] =>
  process.env.MNEME_BACKEND === 'webgpu' ? [[7, T - 9, 1, 1]] : [[7, 1, T - 8], Array<number>(T).fill(1)]

/** What the checkpoint says it is, or the variant of it that the file of its code is named after. */
function typeOf(golden: Golden): string | null {
  if (!golden.files.includes('config.json') || !golden.files.includes('grads.safetensors')) return null
  const { model_type: given, reference } = golden.json('config')
  const type = variantOf(golden) ?? given
  return String(
    type ??
      String(reference ?? '')
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

/** Layouts that name no reference are those of these libraries. */
const libraries = ['huggingface/transformers', 'fla-org/flash-linear-attention']

/** A type of the same name in another repository is another model. */
async function isOurs(golden: Golden, type: string): Promise<boolean> {
  const { checkpoint, tiny } = await loadPaper(publishedTypes[type as keyof typeof publishedTypes])
  const wrote = repository(golden.json('meta').reference)
  if (type !== golden.json('config').model_type && type === variantOf(golden)) return true
  const reference = checkpoint?.publish(tiny).reference
  const known = checkpoint?.repositories ?? (reference === undefined ? libraries : [repository(reference)])
  return known.includes(wrote)
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
          const pass = passOf(expected)
          expectClose(await read(model.forward(x, undefined, pass).y), scores.values, limit, 'scores')
          const plain = expected.get('logits_default')
          if (plain) expectClose(await read(model.forward(x).y), plain.values, limit, 'scores of plain tokens')
          if (model.traits.whole || !model.traits.causal) return model.dispose()
          for (const sizes of splits(T)) {
            const { y } = inPieces(model as unknown as Sequence, x, sizes, undefined, pass.resets)
            expectClose(await read(y), scores.values, STEPS, `scores in pieces of ${sizes.join(', ')}`)
          }
          model.dispose()
        })
      })
    }

    if (expected.has('enc')) {
      test('what an encoder makes of every segment, what it remembers, and scores over the last', async () => {
        await within(async () => {
          const { model } = await fromPretrained(goldenDirectory(golden))
          const encoder = model as unknown as SegmentEncoder
          const segments = encoded(encoder, toTensor(ids as GoldenTensor), segmentsOf(expected))
          const limit = Math.max(tolerances.forward(), 2e-5)
          const close = async (actual: Tensor, name: string): Promise<void> =>
            expectClose(await read(actual), (expected.get(name) as GoldenTensor).values, limit, name)
          const outputs = segments.map(({ y }) => y)
          await close(concat(outputs, 1), 'enc')
          for (const [s, { state }] of segments.entries()) await close(state, `mems.${s}`)
          const tgt = expected.get('tgt')
          if (tgt) await close(encoder.decode(toTensor(tgt), outputs.at(-1) as Tensor), 'dec_logits')
          model.dispose()
        })
      })
    }

    test('gradients of every parameter', async () => {
      await within(async () => {
        const pretrained = await fromPretrained(goldenDirectory(golden), options)
        const { model } = pretrained
        const grads = golden.read('grads')
        const parameters = [...model.namedParameters()].filter(([, v]) => v.trainable)
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
          // parameters that share a stored tensor have their rows of its gradient
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

const namesOf = ({ paper, config }: Pretrained, paths: readonly string[]): ReturnType<typeof storedNames> =>
  storedNames(paths, paper.checkpoint?.names(config) ?? [])

/** Padding and kinds of tokens, where the golden has them. */
function passOf(expected: ReadonlyMap<string, GoldenTensor>): Pass {
  const [mask, types] = [expected.get('attention_mask'), expected.get('token_type_ids')]
  const resets = resetsOf(expected)
  return {
    training: false,
    ...(mask && { mask: toTensor({ ...mask, values: Float32Array.from(mask.values) }) as Tensor2D }),
    ...(resets && { resets }),
    ...(types && { tokenTypes: toTensor(types) as Tensor2D }),
  }
}

/** A model that reads its source in segments, each with what it remembers of those before, and speaks of the last. */
interface SegmentEncoder {
  encode(ids: Tensor, memory?: Tensor): Mixed<Tensor>
  decode(ids: Tensor, encoded: Tensor): Tensor
}

const segmentsOf = (expected: ReadonlyMap<string, GoldenTensor>): number =>
  [...expected.keys()].filter((name) => /^mems\.\d+$/.test(name)).length

/** Outputs and memories of `count` segments of equal length. */
function encoded(encoder: SegmentEncoder, ids: Tensor, count: number): Mixed<Tensor>[] {
  const L = Math.ceil((ids.shape[1] as number) / count)
  const found: Mixed<Tensor>[] = []
  for (let s = 0; s < count; s++) {
    const size = Math.min(L, (ids.shape[1] as number) - s * L)
    found.push(encoder.encode(span(ids, s * L, size), found.at(-1)?.state))
  }
  return found
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
  const ofEncoder = expected.get('g.enc')
  if (ofEncoder) {
    const segments = encoded(model as unknown as SegmentEncoder, ids, segmentsOf(expected))
    const y = concat(
      segments.map((segment) => segment.y),
      1,
    )
    return div(sum(mul(y, toTensor(ofEncoder))), y.size)
  }
  const { y } = model.forward(ids, undefined, passOf(expected))
  return nextTokenLoss(slice(y, [0, 0, 0], [B, T - 1, -1]), targets).loss
}
