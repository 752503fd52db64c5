import { normal, RMSNorm, Rng, residualStack, type SequenceMixer } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { Averaging } from '@mneme/testing/averaging'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, slice, zeros } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { MemoryPrefix } from './memory-prefix.js'

const D = 4
const segment = 5
const inner = (rng: Rng): SequenceMixer =>
  residualStack([{ mixer: new Averaging(D, rng), mixerNorm: new RMSNorm(D) }, { mixer: new Averaging(D, rng) }])
const make = (seed: number): MemoryPrefix => {
  const rng = new Rng(seed)
  return new MemoryPrefix(new Averaging(D, rng), inner(rng), { dModel: D, segment })
}

describeMixer('MemoryPrefix', (seed) => make(seed) as unknown as SequenceMixer, D)

test('before anything was read the token of memory is empty: the plain model behind it', async () => {
  await within(async () => {
    const model = make(1)
    const x = normal(new Rng(2), [2, segment, D], 1)
    const plain = model.inner.forward(concat([zeros([2, 1, D]), x], 1)).y
    expectClose(await read(model.forward(x).y), await read(slice(plain, [0, 1, 0], [2, segment, D])), 1e-6, 'outputs')
    model.dispose()
  })
})

test('a segment sees of those before it only what the reader says after their last token', async () => {
  await within(async () => {
    const model = make(3)
    const x = normal(new Rng(4), [1, 3 * segment, D], 1)
    const said = span(model.reader.forward(x).y, 2 * segment - 1, 1)
    const alone = model.inner.forward(concat([said, span(x, 2 * segment, segment)], 1)).y
    const whole = span(model.forward(x).y, 2 * segment, segment)
    expectClose(await read(whole), await read(span(alone, 1, segment)), 1e-6, 'third segment')
    model.dispose()
  })
})

test('a segment without tokens is refused', () => {
  const rng = new Rng(0)
  expect(() => new MemoryPrefix(inner(rng), inner(rng), { dModel: D, segment: 0 })).toThrow(/segment: expected a whole/)
})
