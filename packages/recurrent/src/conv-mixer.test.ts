import { normal, Rng } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, eye, ones, type Tensor2D, tensor2d, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { ConvMixer } from './conv-mixer.js'

/** One channel, taps oldest first, the linear map the identity. */
function filter(...taps: number[]): ConvMixer {
  const mixer = new ConvMixer(1, taps.length, new Rng(1))
  mixer.depthwise.weight.assign(tensor2d([taps]))
  mixer.pointwise.weight.assign(eye(1))
  mixer.pointwise.bias?.assign(zeros([1]))
  return mixer
}

describe('ConvMixer', () => {
  test('the last tap is the current token, and before the first stand zeros', async () => {
    await within(async () => {
      const mixer = filter(100, 10, 1)
      const { y, state } = mixer.forward(tensor3d([[[1], [2], [3], [4]]]))
      expect([...(await read(y))]).toEqual([1, 12, 123, 234])
      expect([...(await read(state))]).toEqual([3, 4])
      mixer.dispose()
    })
  })

  test('a given state is the tokens before the first, oldest first', async () => {
    await within(async () => {
      const mixer = filter(100, 10, 1)
      const { y, state } = mixer.forward(tensor3d([[[3]]]), tensor3d([[[1], [2]]]))
      expect([...(await read(y))]).toEqual([123])
      expect([...(await read(state))]).toEqual([2, 3])
      mixer.dispose()
    })
  })

  test('padding takes no tap', async () => {
    await within(async () => {
      const mixer = filter(100, 10, 1)
      const mask = tensor2d([[1, 0, 1, 0, 0, 1]]) as Tensor2D
      const { y, state } = mixer.forward(tensor3d([[[1], [9], [2], [9], [9], [3]]]), undefined, {
        training: false,
        mask,
      })
      const outputs = await read(y)
      expect([outputs[0], outputs[2], outputs[5]]).toEqual([1, 12, 123])
      expect([...(await read(state))]).toEqual([2, 3])
      mixer.dispose()
    })
  })

  test('a reset forgets the tokens before it', async () => {
    await within(async () => {
      const mixer = filter(100, 10, 1)
      const resets = tensor2d([[0, 0, 1, 0]]) as Tensor2D
      const { y } = mixer.forward(tensor3d([[[1], [2], [3], [4]]]), undefined, { training: false, resets })
      expect([...(await read(y))]).toEqual([1, 12, 3, 34])
      mixer.dispose()
    })
  })

  test('with no gap, the form for gaps is the plain one', async () => {
    await within(async () => {
      const mixer = new ConvMixer(3, 4, new Rng(2))
      const x = normal(new Rng(3), [2, 9, 3], 1)
      const plain = mixer.forward(x)
      const gapped = mixer.forward(x, undefined, { training: false, mask: ones([2, 9]) as Tensor2D })
      expectClose(await read(gapped.y), await read(plain.y), 1e-6, 'outputs')
      expect(await read(gapped.state)).toEqual(await read(plain.state))
      mixer.dispose()
    })
  })

  test('a token more than width - 1 back has no effect, and the one before that has', async () => {
    await within(async () => {
      const [T, width] = [8, 4]
      const mixer = new ConvMixer(3, width, new Rng(4))
      const [x, other] = [normal(new Rng(5), [1, T, 3], 1), normal(new Rng(6), [1, T, 3], 1)]
      const changed = concat([span(x, 0, 2), span(other, 2, 1), span(x, 3, T - 3)], 1)
      const [before, after] = [mixer.forward(x).y, mixer.forward(changed).y]
      const at = async (t: number) => [await read(span(before, t, 1)), await read(span(after, t, 1))] as const
      for (let t = 0; t < T; t++) {
        const [a, b] = await at(t)
        if (t >= 2 && t < 2 + width) expect(b).not.toEqual(a)
        else expect(b).toEqual(a)
      }
      mixer.dispose()
    })
  })

  test('D W + D values along time and D² + D across channels', async () => {
    await within(async () => {
      const mixer = new ConvMixer(7, 3, new Rng(0))
      expect(mixer.parameterCount()).toBe(7 * 3 + 7 + 7 * 7 + 7)
    })
  })

  test('a width of 1 is refused', () => {
    expect(() => new ConvMixer(4, 1, new Rng(0))).toThrow(/width: expected a whole number of tokens, at least 2, got 1/)
  })
})
