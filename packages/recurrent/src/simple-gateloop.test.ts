import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { neg, ones, reshape, slice, softplus, type Tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { gateLoop } from './gateloop.js'
import { SimpleGateLoop } from './simple-gateloop.js'

describe('SimpleGateLoop', () => {
  test('is a gate loop of real transitions with heads of width 1, whose keys are 1', async () => {
    await within(async () => {
      const mixer = new SimpleGateLoop({ dModel: 4, postNorm: false }, new Rng(15))
      const x = normal(new Rng(16), [2, 12, 4], 1)
      const projected = mixer.projection.forward(mixer.norm.forward(x))
      const part = (i: number): Tensor => slice(projected, [0, 0, 4 * i], [2, 12, 4])
      const heads = (y: Tensor): Tensor => reshape(y, [2, 12, 4, 1])
      const { y } = gateLoop({
        q: heads(part(0)),
        k: ones([2, 12, 4, 1]),
        v: heads(part(1)),
        transition: { logDecay: neg(softplus(neg(part(2)))) },
        state: { re: zeros([2, 4, 1, 1]), im: null },
      })
      expectClose(await read(mixer.forward(x).y), await read(y), 1e-5, 'outputs')
      mixer.dispose()
    })
  })
})
