import {
  dims,
  gapsOf,
  Linear,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  overGaps,
  type Pass,
  RMSNorm,
  Rng,
  residualStack,
  type SequenceMixer,
  segmentRecurrent,
} from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, mul, reshape, sigmoid, slice, sub, type Tensor, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { MemoryTokens } from './memory-tokens.js'

const D = 4
const LENGTH = 5

/** The least that mixes along time: `h_t = a_t h_{t-1} + (1 - a_t) x_t`. */
class Averaging extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly gate: Linear

  constructor(rng: Rng) {
    super()
    this.gate = new Linear(D, D, rng)
  }

  initialState(batch: number): Tensor {
    return zeros([batch, D])
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('Averaging.forward x', x, 'B T D', { D })
    const open = sigmoid(this.gate.forward(x))
    const scan = overGaps(open, mul(sub(1, open), x), gapsOf('Averaging.forward', pass, B, T))
    const { h } = linearScan({ ...scan, h0: state ?? this.initialState(B) })
    return { y: h, state: reshape(slice(h, [0, T - 1, 0], [B, 1, D]), [B, D]) }
  }

  stateBytes(): number {
    return 4 * D
  }
}

const inner = (rng: Rng): SequenceMixer =>
  residualStack([{ mixer: new Averaging(rng), mixerNorm: new RMSNorm(D) }, { mixer: new Averaging(rng) }])

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
