import { type AnyOp, allOps, drawInputs, Rng, toTensors } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import type { Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { loops } from './loops.js'

/** What a loop leaves out of its op: the bench draws none of these. */
const unused = ['bonus', 'resets', 'mask', 'num', 'den', 'max']

describe('a loop over tokens computes what its op does', () => {
  test.each(Object.entries(loops))('%s', async (name, loop) => {
    const op = allOps.find(({ spec }) => spec.name === name) as AnyOp
    expect(op).toBeDefined()
    const largest = op.spec.examples.at(-1) as (typeof op.spec.examples)[number]
    const short = Object.fromEntries(
      Object.entries(largest.dims).map(([axis, size]) => [axis, axis.startsWith('T') && size > 1 ? 9 : size]),
    )
    const optional = Object.keys(op.spec.inputs).filter((input) => unused.includes(input))
    await within(async () => {
      const example = { ...largest, dims: short, omit: [...(largest.omit ?? []), ...optional] }
      const inputs = toTensors(drawInputs(op, example, new Rng(1)))
      const [expected] = Object.values(op(inputs, largest.attrs ?? {})) as [Tensor]
      const actual = loop(inputs)
      expect(actual.shape).toEqual(expected.shape)
      expectClose(await read(actual), await read(expected), 1e-4, name)
    })
  })
})
