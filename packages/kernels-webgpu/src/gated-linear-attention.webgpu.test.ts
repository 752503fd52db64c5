import { gatedLinearAttention, kernelRefusals, registerOpKernel, vjp } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { engine, fill, memory, setBackend, tidy } from '@tensorflow/tfjs-core'
import { afterEach, expect, test, vi } from 'vitest'
import { gatedLinearAttentionKernel } from './gated-linear-attention.js'
import { registerKernels } from './register.js'

const [B, H, K, V] = [1, 2, 3, 2]

afterEach(() => {
  vi.restoreAllMocks()
})

/** What is dispatched, by name, in a forward pass and in one with its backward. */
async function dispatches(T: number, forwardOnly: boolean): Promise<string[]> {
  await setBackend('webgpu')
  const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
  tidy(() => {
    const [q, v] = [fill([B, T, H, K], 0.1), fill([B, T, H, V], 0.1)]
    const run = () => gatedLinearAttention({ q, k: q, v, logDecay: fill([B, T, H, K], -0.1) })
    if (forwardOnly) run()
    else vjp(() => [run().o], [q], [v])
  })
  const labels = pipelines.mock.calls.map(([pipeline]) => pipeline.label)
  pipelines.mockRestore()
  return labels.filter((label) => label.startsWith('gatedLinearAttention')).map((label) => label.slice(20))
}

test('one dispatch for a few tokens, three for any number', async () => {
  expect(await dispatches(1, true)).toEqual([''])
  expect(await dispatches(64, true)).toEqual([''])
  expect(await dispatches(65, true)).toEqual(['.write', '.states', ''])
  expect(await dispatches(700, true)).toEqual(['.write', '.states', ''])
})

test('eight dispatches backward, at any length, and no tensor is left', async () => {
  const before = memory().numTensors
  const backward = ['.write', '.states', '.writeBack', '.statesBack', '.dq', '.dk', '.dv', '.dLogDecay']
  expect(await dispatches(3, false)).toEqual(['', ...backward])
  expect(await dispatches(700, false)).toEqual(['.write', '.states', '', ...backward])
  expect(memory().numTensors).toBe(before)
})

test('what the kernel refuses, the reference computes', async () => {
  await setBackend('webgpu')
  const expectOnes = async (V: number): Promise<void> => {
    const one = fill([1, 1, 1, 1], 1)
    const { o } = gatedLinearAttention({ q: one, k: one, v: fill([1, 1, 1, V], 1) })
    expect((await o.data()).every((value) => value === 1)).toBe(true)
  }
  const limited = (maxBufferBytes: number, maxBuffers: number): void =>
    registerOpKernel('gatedLinearAttention', 'webgpu', gatedLinearAttentionKernel({ maxBufferBytes, maxBuffers }))
  await expectOnes(300)
  limited(2, 8)
  await expectOnes(1)
  limited(1e9, 4)
  await expectOnes(1)
  registerKernels(engine().backend as WebGPUBackend)
  expect(kernelRefusals()).toEqual(
    expect.arrayContaining([
      'gatedLinearAttention on webgpu: reference used, needs widths of at most 256, K=1 and V=300.',
      'gatedLinearAttention on webgpu: reference used, needs buffers of 4 bytes, device has 2.',
      'gatedLinearAttention on webgpu: reference used, needs 5 storage buffers, device has 4.',
    ]),
  )
})
