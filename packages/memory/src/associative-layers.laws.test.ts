import {
  type Mixed,
  normal,
  normalInit,
  RMSNorm,
  Rng,
  residualStack,
  type SequenceMixer,
  segmentRecurrent,
} from '@mneme/core-tensor'
import { MinGRU } from '@mneme/recurrent'
import { describeMixer } from '@mneme/testing'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { AssociativeLayer, AssociativeLayers, TrailingTokens } from './associative-layers.js'
import { AssociativeMemory } from './associative-memory.js'

const D = 4
const LENGTH = 4
const M = 3

/** Two layers that forget at the end of a segment, and what stands around them. */
function parts(seed: number, valueStd: number) {
  const rng = new Rng(seed)
  // gradients leave out what the correction does, and the laws compare them with slopes
  const memory = { dModel: D, dKey: 8, rolls: 3, correction: false, valueInit: normalInit(valueStd) }
  const layers = Array.from({ length: 2 }, () =>
    residualStack([{ mixer: new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, rng) }]),
  )
  const around = layers.map(
    (layer) => new AssociativeLayer(new AssociativeMemory(memory, rng), layer as unknown as SequenceMixer),
  )
  const norm = new RMSNorm(D)
  const inner = new AssociativeLayers(around, norm)
  const carry = new TrailingTokens(M, D, rng)
  const options = { length: LENGTH, backprop: Number.POSITIVE_INFINITY }
  const model = segmentRecurrent(inner as unknown as SequenceMixer, carry, options) as unknown as SequenceMixer
  const plain = (x: Tensor): Tensor => norm.forward(layers.reduce((y, layer) => layer.forward(y).y, x))
  return { model, inner, carry, plain }
}

describeMixer('AssociativeLayers', (seed) => parts(seed, 0.5).model, D)

const draw = (seed: number, T: number): Tensor => normal(new Rng(seed), [2, T, D], 1)

describe('AssociativeLayers', () => {
  test('the first segment is the plain layers; the next reads what was written behind it', async () => {
    await within(async () => {
      const { model, plain } = parts(1, 0.5)
      const x = draw(2, 2 * LENGTH)
      const y = model.forward(x).y
      const [first, second] = [span(x, 0, LENGTH), span(x, LENGTH, LENGTH)]
      expectClose(await read(span(y, 0, LENGTH)), await read(plain(first)), 1e-6, 'first segment')
      expect(await read(span(y, LENGTH, LENGTH))).not.toEqual(await read(plain(second)))
    })
  })

  test('values of zeros: every segment is the plain layers', async () => {
    await within(async () => {
      const { model, plain } = parts(1, 0)
      const segments = [draw(3, LENGTH), draw(4, LENGTH), draw(5, LENGTH)]
      const apart = concat(segments.map(plain), 1)
      expectClose(await read(model.forward(concat(segments, 1)).y), await read(apart), 1e-6, 'segments')
    })
  })

  test('each memory is written what its own layer makes of the tokens behind the segment', async () => {
    await within(async () => {
      const { model, inner, carry } = parts(1, 0.5)
      const x = draw(6, LENGTH)
      const { state } = model.forward(x) as Mixed<{ readonly inner: ReturnType<typeof inner.initialState> }>
      const [one] = inner.layers as [AssociativeLayer]
      const h = one.layer.forward(concat([x, carry.after(null, 2)], 1)).y
      const expected = one.memory.write(one.memory.initialState(2), { h: span(h, LENGTH, M) })
      expectClose(await read(state.inner[0]?.memory.memory as Tensor), await read(expected.memory), 1e-6, 'memory')
      expect(state.inner.map(({ memory }) => memory.writes)).toEqual([1, 1])
    })
  })

  test('no tokens behind a segment are refused', () => {
    expect(() => new TrailingTokens(0, D, new Rng(0))).toThrow('count: expected a whole number, at least 1, got 0')
  })
})
