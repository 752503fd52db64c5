import {
  type Alignment,
  dims,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  Rng,
  type SequenceMixer,
} from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, concat, expandDims, mean, slice, type Tensor, tanh } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { SegmentedEncoder } from './segmented-encoder.js'

const D = 4
const M = 2

/** The least that looks both ways: each token beside the mean of all. */
class BesideMean extends Module implements SequenceMixer<null> {
  readonly traits: MixerTraits = { causal: false, padding: false, constantState: true }
  readonly own: Linear
  readonly all: Linear

  constructor(rng: Rng) {
    super()
    this.own = new Linear(D, D, rng)
    this.all = new Linear(D, D, rng)
  }

  initialState(): null {
    return null
  }

  forward(x: Tensor): Mixed<null> {
    dims('BesideMean.forward x', x, 'B T D', { D })
    return { y: tanh(add(this.own.forward(x), mean(this.all.forward(x), 1, true))), state: null }
  }

  stateBytes(): number {
    return 0
  }
}

const make = (seed: number, length: number, alignment: Alignment, backprop = Number.POSITIVE_INFINITY) => {
  const rng = new Rng(seed)
  const options = { dModel: D, memoryTokens: M, length, alignment, backprop, std: 1 }
  return new SegmentedEncoder(options, new BesideMean(rng) as unknown as SequenceMixer, rng)
}

for (const alignment of ['left', 'right', 'center'] as const) {
  const length = { left: 6, right: 7, center: 9 }[alignment]
  describeMixer(`SegmentedEncoder, ${alignment}`, (seed) => make(seed, length, alignment) as never, D)
}
describeMixer('SegmentedEncoder, gradients through two segments', (seed) => make(seed, 7, 'right', 2) as never, D)

describe('SegmentedEncoder', () => {
  test('a segment stands between marks, behind the memory; what the memory becomes is passed on', async () => {
    await within(async () => {
      const model = make(1, 3, 'left')
      const x = normal(new Rng(2), [1, 3, D], 1)
      const mark = (i: number): Tensor => expandDims(slice(model.marks, [i, 0], [1, D]), 0)
      const parts = [mark(0), expandDims(model.initial, 0), mark(1), x, mark(1)]
      const { y } = model.inner.forward(concat(parts, 1))
      const mixed = model.forward(x)
      expectClose(await read(mixed.y), await read(span(y, M + 2, 3)), 1e-6, 'outputs')
      expectClose(await read(mixed.state.memory), await read(span(y, 1, M)), 1e-6, 'memory')
    })
  })

  test('no memory tokens are refused', () => {
    expect(
      () => new SegmentedEncoder({ ...options(), memoryTokens: 0 }, new BesideMean(new Rng(0)) as never, new Rng(0)),
    ).toThrow('memoryTokens: expected a whole number, at least 1, got 0')
  })
})

const options = () => ({ dModel: D, memoryTokens: M, length: 3, alignment: 'left' as const, backprop: 1, std: 1 })
