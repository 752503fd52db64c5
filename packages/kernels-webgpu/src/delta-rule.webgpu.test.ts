import { deltaRule, dplrDeltaRule, kernelRefusals, registerOpKernel, vjp } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { engine, fill, memory, setBackend, type Tensor, tidy } from '@tensorflow/tfjs-core'
import { afterEach, expect, test, vi } from 'vitest'
import { deltaRuleKernel } from './delta-rule.js'
import { registerKernels } from './register.js'

const [B, H, K, V] = [1, 2, 3, 2]

afterEach(() => {
  vi.restoreAllMocks()
})

/** What is dispatched, by name, in a forward pass of either op and in one with its backward. */
async function dispatches(T: number, lowRank: boolean, forwardOnly: boolean): Promise<string[]> {
  await setBackend('webgpu')
  const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
  tidy(() => {
    const [q, v] = [fill([B, T, H, K], 0.1), fill([B, T, H, V], 0.1)]
    const run = (): Tensor =>
      lowRank
        ? dplrDeltaRule({ q, k: q, v, a: q, b: q, logDecay: fill([B, T, H, K], -0.1) }).o
        : deltaRule({ q, k: q, v, beta: fill([B, T, H], 0.5), logDecay: fill([B, T, H], -0.1) }).o
    if (forwardOnly) run()
    else vjp(() => [run()], [q], [v])
  })
  const labels = pipelines.mock.calls.map(([pipeline]) => pipeline.label)
  pipelines.mockRestore()
  return labels.filter((label) => label.startsWith('deltaRule')).map((label) => label.slice(9))
}

test.each([false, true])('two dispatches for a few tokens, four for any number (low rank: %s)', async (lowRank) => {
  const short = ['.rows', '']
  const long = ['.rows', '.write', '.states', '']
  expect(await dispatches(1, lowRank, true)).toEqual(short)
  expect(await dispatches(64, lowRank, true)).toEqual(short)
  expect(await dispatches(65, lowRank, true)).toEqual(long)
  expect(await dispatches(700, lowRank, true)).toEqual(long)
})

test.each([false, true])(
  'nine dispatches backward, at any length, and no tensor is left (low rank: %s)',
  async (lowRank) => {
    const before = memory().numTensors
    const states = ['.rows', '.write', '.states', '.readings']
    const backward = [...states, '.writeBack', '.statesBack', '.dv', '.dq', '.dk']
    expect(await dispatches(3, lowRank, false)).toEqual(['.rows', '', ...backward])
    expect(await dispatches(700, lowRank, false)).toEqual(['.rows', '.write', '.states', '', ...backward])
    expect(memory().numTensors).toBe(before)
  },
)

test('what the kernel refuses, the reference computes', async () => {
  await setBackend('webgpu')
  const expectOnes = async (V: number): Promise<void> => {
    const one = fill([1, 1, 1, 1], 1)
    const { o } = deltaRule({ q: one, k: one, v: fill([1, 1, 1, V], 1), beta: fill([1, 1, 1], 1) })
    expect((await o.data()).every((value) => value === 1)).toBe(true)
  }
  const limited = (maxBufferBytes: number, maxBuffers: number): void =>
    registerOpKernel('deltaRule', 'webgpu', deltaRuleKernel({ maxBufferBytes, maxBuffers }))
  await expectOnes(300)
  limited(2, 8)
  await expectOnes(1)
  limited(1e9, 4)
  await expectOnes(1)
  registerKernels(engine().backend as WebGPUBackend)
  expect(kernelRefusals()).toEqual(
    expect.arrayContaining([
      'deltaRule on webgpu: reference used, needs widths of at most 256, K=1 and V=300.',
      'deltaRule on webgpu: reference used, needs buffers of 20 bytes, device has 2.',
      'deltaRule on webgpu: reference used, needs 6 storage buffers, device has 4.',
    ]),
  )
})
