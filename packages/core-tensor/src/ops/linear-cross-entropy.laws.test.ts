import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { add, dispose, matMul, memory, mul, profile, sum, type Tensor, tensor1d, tidy } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { vjp } from '../gradients.js'
import { normal } from '../init.js'
import { Rng } from '../rng.js'
import { crossEntropy } from './cross-entropy.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'

function drawn(N: number, D: number, V: number): Record<'hidden' | 'weight' | 'bias' | 'targets', Tensor> {
  const rng = new Rng(3)
  return {
    hidden: normal(rng, [N, D], 1),
    weight: normal(rng, [V, D], 1),
    bias: normal(rng, [V], 1),
    targets: tensor1d(
      Array.from({ length: N }, () => rng.int(0, V)),
      'int32',
    ),
  }
}

test('is the cross entropy of the linear map, gradients too', async () => {
  await within(async () => {
    const inputs = drawn(11, 4, 23)
    const { hidden, weight, bias, targets } = inputs
    const xs = [hidden, weight, bias]
    const apart = (): Tensor[] => [
      crossEntropy({ logits: add(matMul(hidden, weight, false, true), bias), targets }).nll,
    ]
    const joint = (): Tensor[] => [linearCrossEntropy(inputs, { tokens: 4, words: 5 }).nll]
    expectClose(await read(joint()[0] as Tensor), await read(apart()[0] as Tensor), tolerances.forward(), 'nll')
    const dy = normal(new Rng(4), [11], 1)
    const expected = vjp(apart, xs, [dy])
    for (const [i, grad] of vjp(joint, xs, [dy]).entries()) {
      expectClose(await read(grad), await read(expected[i] as Tensor), tolerances.gradient(), `gradient ${i}`)
    }
  })
})

test('logits of thousands neither overflow nor vanish', async () => {
  await within(async () => {
    const inputs = drawn(6, 4, 9)
    const far = { ...inputs, hidden: mul(inputs.hidden, 2000) }
    const { nll, lse } = linearCrossEntropy(far, { words: 2 })
    const logits = await read(add(matMul(far.hidden, inputs.weight, false, true), inputs.bias))
    const greatest = Array.from({ length: 6 }, (_, n) => Math.max(...logits.subarray(9 * n, 9 * n + 9)))
    expectClose(await read(lse), greatest, 1e-5, 'log sums')
    // two sums of seven digits each are subtracted
    expect((await read(nll)).every((x) => x > -0.01 && Number.isFinite(x))).toBe(true)
  })
})

test('forward and backward pass never hold the logits', async () => {
  const inputs = drawn(256, 4, 1024)
  const { hidden, weight } = inputs
  // the peak that is reported counts whatever else is alive
  const before = memory().numBytes
  const { peakBytes } = await profile(() =>
    tidy(() => {
      const run = (): Tensor[] => [linearCrossEntropy(inputs, { tokens: 32, words: 128 }).nll]
      return vjp(run, [hidden, weight], [normal(new Rng(5), [256], 1)]).map((grad) => sum(grad))
    }),
  )
  expect(peakBytes - before).toBeLessThan((256 * 1024 * 4) / 3)
  dispose(Object.values(inputs))
})
