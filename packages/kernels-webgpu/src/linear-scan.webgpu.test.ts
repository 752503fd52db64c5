import { kernelRefusals, linearScan, registerOpKernel, vjp } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import {
  dispose,
  engine,
  memory,
  setBackend,
  type Tensor,
  type TensorInfo,
  tensor,
  tidy,
  time,
  util,
} from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { linearScanKernel } from './linear-scan.js'
import { registerKernels } from './register.js'
import { runShader, type Shader } from './run.js'

// 70 channels: one whole workgroup and a part of one
const [B, D] = [2, 35]

interface Timing {
  readonly kernelMs: number
  getExtraProfileInfo(): string
}

type Values = Record<string, Float32Array>

/** Values of the output and of every gradient, for the same inputs and cotangent, on one backend. */
async function run(backend: string, T: number, reverse: boolean, withState: boolean): Promise<Values> {
  await setBackend(backend)
  const draw = (shape: number[], seed: number): Tensor => {
    const random = randomOf(seed)
    return tensor(Float32Array.from({ length: util.sizeFromShape(shape) }, random), shape)
  }
  const results = tidy(() => {
    const a = draw([B, T, D], 1)
    const b = draw([B, T, D], 2)
    const h0 = withState ? draw([B, D], 3) : undefined
    const scan = (): Tensor => linearScan({ a, b, ...(h0 && { h0 }) }, { reverse }).h
    const inputs = h0 ? [a, b, h0] : [a, b]
    return [scan(), ...vjp(() => [scan()], inputs, [draw([B, T, D], 4)])]
  })
  const values: Values = {}
  for (const [i, name] of ['h', 'da', 'db', 'dh0'].entries()) {
    const result = results[i]
    if (result !== undefined) values[name] = Float32Array.from(await result.data())
  }
  dispose(results)
  return values
}

/** Uniform in (-1, 1): a scan over a of that size does not grow. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

/** Leaves buffers of these sizes, full of NaN, for the backend to hand out as outputs. */
async function poison(T: number): Promise<void> {
  await setBackend('webgpu')
  for (const shape of [
    [B, T, D],
    [B, D],
  ]) {
    const values = new Float32Array(util.sizeFromShape(shape)).fill(Number.NaN)
    const poisoned = Array.from({ length: 4 }, () => tensor(values.slice(), shape))
    for (const { dataId } of poisoned) (engine().backend as WebGPUBackend).uploadToGPU(dataId)
    dispose(poisoned)
  }
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each([false, true])('linearScan on webgpu, reverse %s', (reverse) => {
  test.each([1, 2, 63, 64, 65, 1000])(
    'equals the reference at T = %i, with and without h0, gradients too',
    async (T) => {
      for (const withState of [false, true]) {
        const expected = await run('cpu', T, reverse, withState)
        await poison(T)
        const got = await run('webgpu', T, reverse, withState)
        expect(Object.keys(got)).toEqual(Object.keys(expected))
        // sums in another order, of at most some tens of terms that count
        for (const [name, values] of Object.entries(expected))
          expect(distance(values, got[name]), name).toBeLessThan(1e-4)
      }
    },
  )
})

/** RMS of the difference over RMS of the expected values. */
function distance(expected: Float32Array, got: Float32Array | undefined): number {
  let [error, size] = [0, 0]
  for (const [i, value] of expected.entries()) {
    error += (value - (got?.[i] ?? Number.NaN)) ** 2
    size += value ** 2
  }
  return error === 0 ? 0 : Math.sqrt(error / size)
}

test('an output that a shader leaves alone is NaN after poisoning, so the tests above would see it', async () => {
  await poison(3)
  const idle: Shader = {
    name: 'idle',
    sizes: [],
    inputs: [],
    outputs: ['y'],
    body: 'fn run(i: u32) { if (i > 9u) { y[i] = 0.0; } }',
  }
  const call = { sizes: {}, inputs: {}, outputShapes: { y: [B, 3, D] }, invocations: 1 }
  const { y } = runShader(engine().backend as WebGPUBackend, idle, call)
  const result = engine().makeTensorFromTensorInfo(y as TensorInfo)
  expect((await result.data()).every(Number.isNaN)).toBe(true)
  result.dispose()
})

test('one dispatch forward and one backward, at any length, and no tensor is left', async () => {
  await setBackend('webgpu')
  const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
  for (const T of [3, 700]) {
    const before = memory().numTensors
    tidy(() => {
      const x = tensor(new Float32Array(B * T * D), [B, T, D])
      const h0 = tensor(new Float32Array(B * D), [B, D])
      vjp(() => [linearScan({ a: x, b: x, h0 }).h], [x, h0], [x])
    })
    const ours = pipelines.mock.calls
      .map(([pipeline]) => pipeline.label)
      .filter((label) => label.startsWith('linearScan'))
    expect(ours).toEqual(['linearScan', 'linearScan.backward'])
    expect(memory().numTensors).toBe(before)
    pipelines.mockClear()
  }
})

test('tf.time measures it by the clock of the device', async () => {
  await setBackend('webgpu')
  const x = tensor(new Float32Array(B * 64 * D), [B, 64, D])
  const { kernelMs, getExtraProfileInfo } = (await time(() => dispose(linearScan({ a: x, b: x })))) as unknown as Timing
  expect(kernelMs).toBeGreaterThan(0)
  expect(getExtraProfileInfo()).toContain('linearScan')
  dispose(x)
})

test('what the kernel refuses, the reference computes', async () => {
  await setBackend('webgpu')
  registerOpKernel('linearScan', 'webgpu', linearScanKernel(100))
  const x = tensor(new Float32Array(64).fill(1), [1, 64, 1])
  const { h } = linearScan({ a: x, b: x })
  expect((await h.data())[63]).toBe(64)
  expect(kernelRefusals()).toContain(
    'linearScan on webgpu: reference used, needs buffers of 256 bytes, device has 100.',
  )
  registerKernels(engine().backend as WebGPUBackend)
  dispose([x, h])
})
