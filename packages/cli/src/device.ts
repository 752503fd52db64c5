import { unknownName } from '@mneme/core-tensor'
import { enableProdMode, ready, setBackend } from '@tensorflow/tfjs-core'

export const devices = ['auto', 'cpu', 'wasm', 'webgpu'] as const
export type Device = (typeof devices)[number]

/** What was chosen, and why, in words for a person. */
export interface ChosenDevice {
  readonly name: Exclude<Device, 'auto'>
  readonly why: string
}

/**
 * Starts a backend. `auto` takes wasm: a GPU is used when it is asked for, since most machines that run this have none.
 *
 * @throws RangeError for an unknown device; Error if it cannot be had here
 */
export async function useDevice(device: string): Promise<ChosenDevice> {
  // without this, tfjs greets people with an advertisement for another backend
  enableProdMode()
  switch (device) {
    case 'auto':
    case 'wasm': {
      const { useWasm } = await import('@mneme/kernels-wasm')
      await useWasm()
      return {
        name: 'wasm',
        why: device === 'auto' ? 'SIMD kernels on the processor; --device webgpu takes a GPU' : 'asked for',
      }
    }
    case 'cpu':
      await import('@tensorflow/tfjs-backend-cpu')
      await setBackend('cpu')
      await ready()
      return { name: 'cpu', why: 'asked for; plain JavaScript, slow' }
    case 'webgpu': {
      const { useWebGPU } = await import('@mneme/kernels-webgpu/node')
      await useWebGPU()
      return { name: 'webgpu', why: 'asked for' }
    }
    default:
      throw new RangeError(unknownName('--device', 'device', device, devices))
  }
}

/** Lets the process end: an open GPU device would keep it alive. */
export async function releaseDevice(device: ChosenDevice): Promise<void> {
  if (device.name !== 'webgpu') return
  const { disposeWebGPU } = await import('@mneme/kernels-webgpu/node')
  await disposeWebGPU()
}
