import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { selfTestOnce, unknownName } from '@mneme/core-tensor'
import { nodeStore } from '@mneme/core-tensor/io/node-store'
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
      const { info } = await useWebGPU()
      return { name: 'webgpu', why: `asked for (${info.vendor} ${info.architecture})${await kernelsLeftOut(info)}` }
    }
    default:
      throw new RangeError(unknownName('--device', 'device', device, devices))
  }
}

/** Graphics cards and their drivers differ: kernels are tried once on each, and those that fail stay out of use. */
async function kernelsLeftOut(adapter: object): Promise<string> {
  await import('@tensorflow/tfjs-backend-cpu')
  const { version } = createRequire(import.meta.url)('@mneme/kernels-webgpu/package.json') as { version: string }
  const store = nodeStore(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mneme'))
  const { verdicts } = await selfTestOnce(store, `${version} ${JSON.stringify(adapter)}`)
  const out = verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'fails').map(({ op }) => op)
  return out.length === 0 ? '' : `, without the kernels of ${out.join(', ')}: see mneme selftest --device webgpu`
}

/** Lets the process end: an open GPU device would keep it alive. */
export async function releaseDevice(device: ChosenDevice): Promise<void> {
  if (device.name !== 'webgpu') return
  const { disposeWebGPU } = await import('@mneme/kernels-webgpu/node')
  await disposeWebGPU()
}
