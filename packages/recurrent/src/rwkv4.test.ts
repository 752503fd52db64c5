import { normal, Rng, wkv4 } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, fill, ones, slice, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { RwkvChannelMix } from './rwkv-channel-mix.js'
import { Rwkv4TimeMix } from './rwkv4.js'

const [T, D] = [9, 4]
const depth = { layer: 0, nLayers: 2 }

describe('wkv of RWKV-4', () => {
  test('by hand: decay one half, no bonus, v = 1, 0, 0 gives 1, 1/2, 1/5', async () => {
    await within(async () => {
      const { y } = wkv4({
        k: zeros([1, 3, 1]),
        v: tensor([1, 0, 0], [1, 3, 1]),
        timeDecay: tensor([Math.log(Math.log(2))]),
        timeFirst: zeros([1]),
      })
      expectClose(await read(y), [1, 0.5, 0.2], 1e-6, 'averages')
    })
  })

  const drawn = () => ({
    k: normal(new Rng(1), [2, T, D], 1),
    v: normal(new Rng(2), [2, T, D], 1),
    timeDecay: normal(new Rng(3), [D], 1),
    timeFirst: normal(new Rng(4), [D], 1),
  })

  test('the first average is the first value, exactly', async () => {
    await within(async () => {
      const inputs = drawn()
      const first = (x: Parameters<typeof slice>[0]) => read(slice(x, [0, 0, 0], [2, 1, D]))
      expectClose(await first(wkv4(inputs).y), await first(inputs.v), 1e-6, 'first token')
    })
  })

  test('adding a constant to every key changes nothing', async () => {
    await within(async () => {
      const inputs = drawn()
      const lifted = wkv4({ ...inputs, k: add(inputs.k, 50) }).y
      expectClose(await read(lifted), await read(wkv4(inputs).y), 1e-4, 'averages')
    })
  })

  test('a large bonus reads the token itself; a fast decay nothing but it and the one before', async () => {
    await within(async () => {
      const inputs = drawn()
      const bonus = wkv4({ ...inputs, timeFirst: fill([D], 60) }).y
      expectClose(await read(bonus), await read(inputs.v), 1e-5, 'large bonus')
      const fast = { ...inputs, timeDecay: fill([D], 5) }
      const last = (x: Parameters<typeof slice>[0]) => slice(x, [0, T - 2, 0], [2, 2, D])
      const alone = wkv4({ ...fast, k: last(inputs.k), v: last(inputs.v) }).y
      const whole = wkv4(fast).y
      const [a, b] = [
        await read(slice(whole, [0, T - 1, 0], [2, 1, D])),
        await read(slice(alone, [0, 1, 0], [2, 1, D])),
      ]
      expectClose(a, b, 1e-5, 'fast decay')
    })
  })
})

describe('a block', () => {
  test('has 13 C² + 7 C parameters beside its norms', () => {
    const time = new Rwkv4TimeMix({ dModel: D, dInner: D, ...depth }, new Rng(1))
    const channel = new RwkvChannelMix(
      { dModel: D, dInner: 4 * D, mixOf: 'current', receptance: true, ...depth },
      new Rng(2),
    )
    expect(time.parameterCount() + channel.parameterCount()).toBe(13 * D * D + 7 * D)
    for (const mixer of [time, channel]) mixer.dispose()
  })

  test('a mix of one sees the token alone, a mix of zero the one before', async () => {
    await within(async () => {
      const mixer = new RwkvChannelMix(
        { dModel: D, dInner: D, mixOf: 'current', receptance: false, ...depth },
        new Rng(3),
      )
      const x = normal(new Rng(4), [1, T, D], 1)
      mixer.timeMixKey.assign(ones([D]))
      const now = await read(mixer.forward(x).y)
      mixer.timeMixKey.assign(zeros([D]))
      const before = await read(mixer.forward(x).y)
      expectClose(before.slice(0, D), new Float32Array(D), 1e-6, 'nothing stands before the first')
      expectClose(before.slice(D), now.slice(0, -D), 1e-5, 'the others are late by one')
      mixer.dispose()
    })
  })
})
