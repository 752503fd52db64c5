import { RMSNorm, Rng, residualStack, type SequenceMixer, segmentRecurrent } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Averaging } from '@mneme/testing/averaging'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, slice, type Tensor, tensor3d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { MemoryTokens } from './memory-tokens.js'

const D = 4
const LENGTH = 5

const inner = (rng: Rng): SequenceMixer =>
  residualStack([{ mixer: new Averaging(D, rng), mixerNorm: new RMSNorm(D) }, { mixer: new Averaging(D, rng) }])

const segmented = (seed: number, tokens: number): SequenceMixer => {
  const rng = new Rng(seed)
  const options = { length: LENGTH, backprop: Number.POSITIVE_INFINITY }
  return segmentRecurrent(inner(rng), new MemoryTokens(tokens, D, rng), options) as unknown as SequenceMixer
}

describeMixer('MemoryTokens: three tokens', (seed) => segmented(seed, 3), D)

const inputs = (rng: Rng, T: number): Tensor =>
  tensor3d(
    Float32Array.from({ length: T * D }, () => rng.normal()),
    [1, T, D],
  )

test('no memory tokens: every segment is the plain model', async () => {
  await within(async () => {
    const [plain, model] = [inner(new Rng(1)), segmented(1, 0)]
    const segments = [inputs(new Rng(2), LENGTH), inputs(new Rng(3), LENGTH)]
    const apart = concat(
      segments.map((x) => plain.forward(x).y),
      1,
    )
    expectClose(await read(model.forward(concat(segments, 1)).y), await read(apart), 1e-6, 'segments')
  })
})

test('one segment: the plain model behind the initial tokens', async () => {
  await within(async () => {
    const rng = new Rng(1)
    const plain = inner(rng)
    const carry = new MemoryTokens(3, D, rng)
    const x = inputs(new Rng(2), LENGTH)
    const prompted = plain.forward(concat([carry.initialState(1) as Tensor, x], 1)).y
    const expected = await read(slice(prompted, [0, 3, 0], [1, LENGTH, D]))
    expectClose(await read(segmented(1, 3).forward(x).y), expected, 1e-6, 'outputs')
  })
})

test('a count that is none is refused', () => {
  expect(() => new MemoryTokens(-1, D, new Rng(0))).toThrow(/count: expected a whole number, at least 0, got -1/)
})
