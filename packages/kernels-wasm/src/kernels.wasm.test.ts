import { adamW, crossEntropy, embedding, linearScan, opKernel, rmsNorm, rotary } from '@mneme/core-tensor'
import { engine, ones, tensor1d, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { plain, relaxed } from './gen/kernels.js'
import { loadKernels } from './heap.js'

describe('the kernels', () => {
  it('are registered', () => {
    for (const { spec } of [adamW, crossEntropy, embedding, linearScan, rmsNorm]) {
      expect(opKernel(spec.name, 'wasm'), spec.name).toBeDefined()
    }
  })

  it('are loaded once on a backend', async () => {
    expect(await loadKernels(engine().backend)).toBe(await loadKernels(engine().backend))
  })

  it('do not turn features that heads do not have', () => {
    const angles = ones([1, 1, 4])
    const turned = () => rotary({ x: ones([1, 1, 1, 4]), cos: angles, sin: angles })
    expect(() => tidy(() => turned().y.dataSync())).toThrow(/slice/)
    angles.dispose()
  })

  it('load on shared and on unshared memory', async () => {
    for (const { base64, sharing } of [plain, relaxed]) {
      for (const shared of [true, false]) {
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
        bytes[sharing] = shared ? 3 : 1
        const memory = new WebAssembly.Memory({ initial: 1, maximum: 1024, shared })
        const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } })
        const { oneHot } = instance.exports as { oneHot: (...args: number[]) => void }
        const values = new Float32Array(memory.buffer, 64, 3)
        new Int32Array(memory.buffer, 0, 1)[0] = 2
        oneHot(0, 64, 1, 3, 1, 0)
        expect(Array.from(values)).toEqual([0, 0, 1])
      }
    }
  })
})

describe('embedding', () => {
  it('names an id outside the table, and leaks nothing', () => {
    tidy(() => {
      const table = tensor2d([1, 2, 3, 4], [2, 2])
      const ids = tensor1d([1, 2], 'int32')
      const before = engine().backend.numDataIds()
      expect(() => embedding({ table, ids })).toThrow('embedding ids: expected ids in [0, V=2), got 2 at position 1.')
      expect(engine().backend.numDataIds()).toBe(before)
    })
  })
})

describe('crossEntropy', () => {
  const nll = (logits: readonly number[], target: number): number =>
    tidy(
      () => crossEntropy({ logits: tensor2d([[...logits]]), targets: tensor1d([target], 'int32') }).nll.dataSync()[0],
    ) as number

  it('stays finite for large, masked and rising logits over several blocks', () => {
    expect(nll([1000, 998, -1000], 1)).toBeCloseTo(2 + Math.log1p(Math.exp(-2)), 5)
    expect(nll([Number.NEGATIVE_INFINITY, 0, 0], 2)).toBeCloseTo(Math.log(2), 6)
    const masked = Array.from({ length: 3000 }, (_, i) => (i < 1500 ? Number.NEGATIVE_INFINITY : 1))
    expect(nll(masked, 2000)).toBeCloseTo(Math.log(1500), 5)
    const rising = Array.from({ length: 3001 }, (_, i) => i / 100)
    const total = rising.reduce((sum, x) => sum + Math.exp(x - 30), 0)
    expect(nll(rising, 7)).toBeCloseTo(30 + Math.log(total) - 0.07, 4)
  })

  it('counts nothing for a target that is no class', () => {
    expect(nll([1, 2, 3], -1)).toBe(0)
    expect(nll([1, 2, 3], 3)).toBe(0)
  })
})
