import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, exp, fill, ones, slice, type Tensor2D, tensor, tensor2d, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { RGLRU, rgLruLogDecay, rgLruScale } from './rg-lru.js'

/** Gates wide open whatever the input: weights 0, biases so large that σ is 1. */
function open(dModel: number): RGLRU {
  const cell = new RGLRU({ dModel, nHeads: 1 }, new Rng(1))
  for (const weight of [cell.inputGateWeight, cell.recurrenceGateWeight]) weight.assign(zeros([1, dModel, dModel]))
  for (const bias of [cell.inputGateBias, cell.recurrenceGateBias]) bias.assign(fill([1, dModel], 100))
  return cell
}

describe('RGLRU', () => {
  test('by hand: softplus Λ = ln 2 / 8, gates open, x = 1, 1 gives 1, 1/2 + sqrt(3)/2', async () => {
    await within(async () => {
      const cell = open(1)
      cell.lambda.assign(tensor([Math.log(Math.expm1(Math.log(2) / 8))]))
      const { y } = cell.forward(ones([1, 2, 1]))
      expectClose(await read(y), [1, 0.5 + Math.sqrt(0.75)], 1e-5, 'states')
      cell.dispose()
    })
  })

  test('the first token is stored whole: h = i ⊙ x', async () => {
    await within(async () => {
      const cell = open(3)
      const x = normal(new Rng(2), [2, 1, 3], 1)
      expectClose(await read(cell.forward(x).y), await read(x), 1e-6, 'first state')
      cell.dispose()
    })
  })

  test('a shut recurrence gate keeps the state and lets nothing in', async () => {
    await within(async () => {
      const cell = open(3)
      cell.recurrenceGateBias.assign(fill([1, 3], -200))
      const h = normal(new Rng(3), [2, 3], 1)
      const { state } = cell.forward(normal(new Rng(4), [2, 50, 3], 1), { h, fresh: zeros([2, 1]) })
      expectClose(await read(state.h), await read(h), 1e-6, 'state')
      cell.dispose()
    })
  })

  test('scaled inputs keep the variance of the state: a² + scale² = 1', async () => {
    await within(async () => {
      const logDecay = rgLruLogDecay(normal(new Rng(5), [1, 40, 4], 4), normal(new Rng(6), [4], 4))
      const [a, scale] = [await read(exp(logDecay)), await read(rgLruScale(logDecay))]
      const sums = a.map((value, i) => value ** 2 + (scale[i] as number) ** 2)
      expectClose(sums, new Float32Array(sums.length).fill(1), 1e-5, 'sums of squares')
    })
  })

  test('documents in one row, told apart by resets, are each as if alone', async () => {
    await within(async () => {
      const cell = new RGLRU({ dModel: 6, nHeads: 2 }, new Rng(7))
      const [a, b] = [normal(new Rng(8), [1, 5, 6], 1), normal(new Rng(9), [1, 7, 6], 1)]
      const resets = tensor2d([[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]) as Tensor2D
      const packed = cell.forward(concat([a, b], 1), undefined, { training: false, resets }).y
      expectClose(await read(slice(packed, [0, 0, 0], [1, 5, 6])), await read(cell.forward(a).y), 1e-5, 'first')
      expectClose(await read(slice(packed, [0, 5, 0], [1, 7, 6])), await read(cell.forward(b).y), 1e-5, 'second')
      cell.dispose()
    })
  })

  test('stays finite over 20,000 tokens with decays next to 0 and next to 1', async () => {
    await within(async () => {
      const cell = open(2)
      cell.lambda.assign(tensor([-15, 40]))
      const { state } = cell.forward(ones([1, 20_000, 2]))
      // shut out: the last token alone; kept: the sum of scaled inputs, a geometric series
      const logDecay = -8 * Math.log1p(Math.exp(-15))
      const [a, scale] = [Math.exp(logDecay), Math.sqrt(-Math.expm1(2 * logDecay))]
      const series = a ** 19_999 + (scale * (1 - a ** 19_999)) / (1 - a)
      expectClose(await read(state.h), [series, 1], 1e-3, 'last state')
      cell.dispose()
    })
  })
})
