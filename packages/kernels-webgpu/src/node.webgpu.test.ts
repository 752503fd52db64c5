import { getBackend, matMul, ones } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { SoftwareAdapterError } from './device.js'
import { disposeWebGPU, useWebGPU } from './node.js'

test('useWebGPU gives back the device in use, and makes a new one after disposeWebGPU', async () => {
  const first = await useWebGPU({ allowSoftware: true })
  expect(await useWebGPU({ allowSoftware: true })).toBe(first)
  await disposeWebGPU()
  expect((await first.lost).reason).toBe('destroyed')
  const second = await useWebGPU({ allowSoftware: true })
  expect(second.device).not.toBe(first.device)
  expect(getBackend()).toBe('webgpu')
  const product = matMul(ones([20, 30]), ones([30, 40]))
  expect((await product.data()).every((v) => v === 30)).toBe(true)
})

test('a software adapter is refused unless allowed', async () => {
  const { software } = await useWebGPU({ allowSoftware: true })
  await disposeWebGPU()
  try {
    if (software) await expect(useWebGPU({ gpu: navigator.gpu })).rejects.toThrow(SoftwareAdapterError)
  } finally {
    await useWebGPU({ allowSoftware: true })
  }
})
