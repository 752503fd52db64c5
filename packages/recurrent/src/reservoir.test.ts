import { affine, normal, Rng, tokenAt, valueAndGrads } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, ones, sum, type Tensor, tanh, tensor2d, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Reservoir, ReservoirMemory, spectralRadius } from './reservoir.js'

const D = 4
const options = {
  dModel: D,
  dReservoir: 24,
  leak: 0.3,
  spectralRadius: 0.9,
  density: 0.3,
  inputScale: 0.5,
  backprop: true,
}

describe('Reservoir', () => {
  test('r_1 = a tanh(u), by hand', async () => {
    await within(async () => {
      const one = { ...options, dModel: 1, dReservoir: 1, leak: 0.5 }
      const mixer = new Reservoir(one, new Rng(1))
      mixer.inWeight.assign(ones([1, 1]))
      mixer.weight.assign(zeros([1, 1]))
      mixer.bias.assign(zeros([1]))
      const { y } = mixer.forward(tensor3d([1, 1], [1, 2, 1]))
      expectClose(await read(y), [0.3808, 0.5712], 1e-3, 'states')
      mixer.dispose()
    })
  })

  test('has the spectral radius asked for', async () => {
    const mixer = new Reservoir(options, new Rng(2))
    expect(spectralRadius(await read(mixer.weight), 24, 2000, 16_000)).toBeCloseTo(0.9, 3)
    mixer.dispose()
  })

  test('the radius of a rotation, whose eigenvalues are a complex pair, is its scale', () => {
    expect(spectralRadius(Float32Array.of(0, -0.7, 0.7, 0), 2)).toBeCloseTo(0.7, 6)
    expect(spectralRadius(Float32Array.of(0, 1, 0, 0), 2)).toBe(0)
  })

  test('forgets where it started: two states meet within 200 tokens', async () => {
    await within(async () => {
      const mixer = new Reservoir(options, new Rng(3))
      const x = normal(new Rng(4), [1, 200, D], 1)
      const from = (seed: number) => mixer.forward(x, normal(new Rng(seed), [1, 24], 1)).state
      const [a, b] = await Promise.all([from(5), from(6)].map(read))
      expectClose(a as Float32Array, b as Float32Array, 1e-4, 'states')
      mixer.dispose()
    })
  })

  test('trains nothing: its weights have no gradient, and without backprop nor has what comes in', async () => {
    await within(async () => {
      const mixer = new ReservoirMemory({ ...options, backprop: false, dReadout: 5, normEps: 1e-5 }, new Rng(7))
      const trained = [...mixer.namedParameters()].filter(([, v]) => v.trainable).map(([path]) => path)
      expect(trained.some((path) => path.startsWith('reservoir'))).toBe(false)
      expect(trained.length).toBe(6)
      const x = normal(new Rng(8), [1, 5, D], 1)
      const { grads } = valueAndGrads(() => sum(mixer.forward(x).y), [x, mixer.outProj.weight])
      expect(grads[0]).toBeNull()
      expect(grads[1]).not.toBeNull()
      mixer.dispose()
    })
  })

  test('a leak of 1 is the plain echo-state network, and one of next to nothing keeps the state', async () => {
    await within(async () => {
      const plain = new Reservoir({ ...options, leak: 1 }, new Rng(11))
      const x = normal(new Rng(12), [1, 6, D], 1)
      let r: Tensor = zeros([1, 24])
      for (let t = 0; t < 6; t++) {
        const into = affine({ x: tokenAt(x, t), weight: plain.inWeight, bias: plain.bias }).y
        r = tanh(add(into, affine({ x: r, weight: plain.weight }).y))
      }
      expectClose(await read(plain.forward(x).state), await read(r), 1e-5, 'last state')
      const frozen = new Reservoir({ ...options, leak: 1e-7 }, new Rng(11))
      const before = normal(new Rng(13), [1, 24], 1)
      expectClose(await read(frozen.forward(x, before).state), await read(before), 1e-5, 'kept')
    })
  })

  test('a leak of 1 has no memory of its own, and one outside (0, 1] is refused', async () => {
    await within(async () => {
      const mixer = new Reservoir({ ...options, dReservoir: 2, leak: 1 }, new Rng(9))
      mixer.weight.assign(zeros([2, 2]))
      const x = normal(new Rng(10), [1, 3, D], 1)
      const fresh = await read(mixer.forward(x).y)
      expectClose(await read(mixer.forward(x, tensor2d([[5, -5]])).y), fresh, 1e-5, 'states')
      expect(() => new Reservoir({ ...options, leak: 0 }, new Rng(1))).toThrow(/leak: expected a number in/)
      mixer.dispose()
    })
  })
})
