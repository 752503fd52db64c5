import { describe, expect, test, vi } from 'vitest'
import { BufferTooLargeError, checkBufferSize, DeviceLostError, NoAdapterError, requestDevice } from './device.js'

interface Given {
  readonly features?: readonly string[]
  readonly limits?: Record<string, number>
  readonly info?: Record<string, unknown>
}

/** A WebGPU of one adapter, which notes what is asked of it. */
function fakeGPU({ features = [], limits = {}, info = {} }: Given) {
  const { promise: lost, resolve: lose } = deferred<{ reason: string; message: string }>()
  const requestDevice = vi.fn(async (asked: GPUDeviceDescriptor) => ({
    lost,
    limits,
    features: new Set(asked.requiredFeatures),
  }))
  const adapter = { features: new Set(features), limits, info, requestDevice }
  return { gpu: { requestAdapter: async () => adapter } as unknown as GPU, requestDevice, lose }
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe('requestDevice', () => {
  test('asks for what the adapter has, and for no more', async () => {
    const { gpu, requestDevice: ask } = fakeGPU({
      features: ['subgroups', 'depth-clip-control'],
      limits: { maxBufferSize: 2 ** 32, maxStorageBuffersPerShaderStage: 10 },
    })
    const found = await requestDevice({ gpu })
    expect(ask.mock.calls[0]?.[0]).toMatchObject({
      requiredFeatures: ['subgroups'],
      requiredLimits: { maxBufferSize: 2 ** 32, maxStorageBuffersPerShaderStage: 10 },
    })
    expect([...found.features]).toEqual(['subgroups'])
  })

  test('works with an adapter that has nothing to offer and says nothing of itself', async () => {
    const found = await requestDevice({ gpu: fakeGPU({}).gpu })
    expect(found).toMatchObject({
      software: false,
      info: { vendor: '', architecture: '', device: '', description: '' },
    })
  })

  test.each([
    [{ isFallbackAdapter: true }, true],
    [{ vendor: 'google', architecture: 'swiftshader' }, true],
    [{ description: 'llvmpipe (LLVM 15.0.6, 256 bits)' }, true],
    [{ vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }, true],
    [{ vendor: 'nvidia', architecture: 'ampere', isFallbackAdapter: false }, false],
    [{ vendor: 'apple', architecture: 'metal-3' }, false],
  ])('%j: software is %s', async (info, software) => {
    expect((await requestDevice({ gpu: fakeGPU({ info }).gpu })).software).toBe(software)
  })

  test('no WebGPU, and no adapter', async () => {
    await expect(requestDevice()).rejects.toThrow(NoAdapterError)
    const gpu = { requestAdapter: async () => null } as unknown as GPU
    await expect(requestDevice({ gpu })).rejects.toThrow(/requestDevice: expected a WebGPU adapter, got none/)
  })

  test('a lost device is told of once, one that was let go is not', async () => {
    for (const [reason, calls] of [
      ['unknown', 1],
      ['destroyed', 0],
    ] as const) {
      const onLost = vi.fn()
      const { gpu, lose } = fakeGPU({})
      const found = await requestDevice({ gpu, onLost })
      lose({ reason, message: 'driver crashed' })
      lose({ reason, message: 'again' })
      const error = await found.lost
      expect(error).toBeInstanceOf(DeviceLostError)
      expect(error.message).toBe(
        `WebGPU device: lost (${reason}), driver crashed. Make a new one and load the last checkpoint.`,
      )
      expect(onLost).toHaveBeenCalledTimes(calls)
    }
  })
})

test('checkBufferSize refuses what is larger than either limit', () => {
  const limits = { maxBufferSize: 1000, maxStorageBufferBindingSize: 100 }
  expect(() => checkBufferSize('scan h', 100, limits)).not.toThrow()
  expect(() => checkBufferSize('scan h', 101, limits)).toThrow(BufferTooLargeError)
  expect(() => checkBufferSize('scan h', 101, limits)).toThrow(
    /^scan h: expected a buffer of at most 100 bytes, got 101\./,
  )
})
