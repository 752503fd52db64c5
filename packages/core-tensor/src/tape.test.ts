import { read } from '@mneme/testing/subject'
import { add, clone, customGrad, memory, mul, ones, sum, type Tensor, tanh, tensor1d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { valueAndGrads, vjp } from './gradients.js'
import { peakBytes } from './inspect/peak-bytes.js'

async function gradientsOf(f: () => Tensor, xs: readonly Tensor[]): Promise<number[][]> {
  const { value, grads } = valueAndGrads(f, xs)
  const found = await Promise.all(grads.map(async (dx) => Array.from(await read(dx as Tensor))))
  for (const t of [value, ...grads]) t?.dispose()
  return found
}

test('a gradient that goes on as it came, to two inputs, or to the same one twice', async () => {
  const [a, b] = [tensor1d([1, 2]), tensor1d([3, 4])]
  const before = memory().numTensors
  expect(await gradientsOf(() => sum(add(a, b)), [a, b])).toEqual([
    [1, 1],
    [1, 1],
  ])
  expect(await gradientsOf(() => sum(mul(add(a, a), clone(b))), [a, b])).toEqual([
    [6, 8],
    [2, 4],
  ])
  expect(memory().numTensors).toBe(before)
  for (const t of [a, b]) t.dispose()
})

test('a rule that hands out a tensor of its own does not lose it', async () => {
  const [x, own] = [tensor1d([1, 2]), tensor1d([5, 7])]
  const op = customGrad((given) => ({ value: clone(given as Tensor), gradFunc: () => own }))
  for (let i = 0; i < 2; i++) expect(await gradientsOf(() => sum(op(x)), [x])).toEqual([[5, 7]])
  expect(await gradientsOf(() => sum(add(op(x), op(x))), [x])).toEqual([[10, 14]])
  expect(own.isDisposed).toBe(false)
  for (const t of [x, own]) t.dispose()
})

test('what is asked for may lie on the way to what else is asked for, and may be the value itself', async () => {
  const x = tensor1d([2, 3])
  const { value, grads } = valueAndGrads(() => sum(x), [x])
  expect(Array.from(await read(grads[0] as Tensor))).toEqual([1, 1])
  const y = mul(x, 3)
  expect(await gradientsOf(() => sum(mul(y, x)), [y, x])).toEqual([
    [2, 3],
    [6, 9],
  ])
  const one = ones([])
  expect(await gradientsOf(() => one, [one])).toEqual([[1]])
  for (const t of [x, y, one, value, ...grads]) t?.dispose()
})

test('an error on the way forward leaves nothing behind, and the next pass is right', async () => {
  const x = tensor1d([1, 2])
  const before = memory().numTensors
  const fails = (): Tensor => {
    tanh(mul(x, x))
    throw new Error('no')
  }
  expect(() => valueAndGrads(fails, [x])).toThrow('no')
  expect(() => valueAndGrads(() => sum(vjp(() => [fails()], [x], [x])[0] as Tensor), [x])).toThrow('no')
  expect(memory().numTensors).toBe(before)
  expect(await gradientsOf(() => sum(mul(x, x)), [x])).toEqual([[2, 4]])
  x.dispose()
})

test('activations and gradients are freed as the backward pass goes: it takes no more than the forward pass', async () => {
  const [depth, size] = [16, 1000]
  const x = ones([size])
  const chain = (): Tensor => {
    let y: Tensor = x
    for (let i = 0; i < depth; i++) y = tanh(y)
    return sum(y)
  }
  const most = await peakBytes(async () => {
    const { value, grads } = valueAndGrads(chain, [x])
    for (const t of [value, ...grads]) t?.dispose()
  })
  // each output once, and what one step of the way back takes: dy, and three to make the next of it
  expect(most).toBeGreaterThan(depth * size * 4)
  expect(most).toBeLessThan((depth + 5) * size * 4)
  x.dispose()
})
