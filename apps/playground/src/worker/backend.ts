import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url'
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url'
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url'
import { env, ready, setBackend } from '@tensorflow/tfjs-core'
import type { BackendChoice, BackendName } from '../protocol'
import { leaveOut } from './verdicts'

export interface ChosenBackend {
  readonly name: BackendName
  /** Why this one, in a line. */
  readonly why: string
  /** The graphics card, where it is used. */
  readonly adapter: object | null
  readonly software: boolean
}

/** A backend, and the ops whose kernels are not used, since they went wrong on this device. */
export interface StartedBackend extends ChosenBackend {
  readonly leftOut: readonly string[]
}

/** Starts a backend as `chooseBackend` does, without the kernels that have failed here. A graphics card is tested once. */
export async function startBackend(...call: Parameters<typeof chooseBackend>): Promise<StartedBackend> {
  const chosen = await chooseBackend(...call)
  const test = chosen.name === 'webgpu' && !chosen.software
  // the references are computed on the plain backend
  if (test) await import('@tensorflow/tfjs-backend-cpu')
  return { ...chosen, leftOut: await leaveOut(chosen.adapter, test) }
}

/**
 * Starts a backend: the graphics card where there is one, else WebAssembly, else plain JavaScript. An adapter that only
 * imitates a graphics card is passed over, since WebAssembly is many times faster.
 *
 * @param refusal why the graphics card is not to be used, if it has failed before
 * @throws Error if a backend that was asked for by name does not start
 */
export async function chooseBackend(
  choice: BackendChoice,
  onLost: (error: Error) => void,
  refusal?: string,
): Promise<ChosenBackend> {
  if (choice !== 'auto') return start(choice, onLost, 'as the address asks')
  const missing = refusal ?? (await graphicsCardMissing())
  if (missing === null) {
    try {
      return await start('webgpu', onLost, 'this machine has a graphics card')
    } catch (error) {
      return withoutGraphics(`the graphics card could not be used: ${messageOf(error)}`, onLost)
    }
  }
  return withoutGraphics(missing, onLost)
}

/** The next best after the graphics card. */
async function withoutGraphics(reason: string, onLost: (error: Error) => void): Promise<ChosenBackend> {
  try {
    return await start('wasm', onLost, reason)
  } catch (error) {
    return start('cpu', onLost, `${reason}; WebAssembly did not start: ${messageOf(error)}`)
  }
}

async function start(name: BackendName, onLost: (error: Error) => void, why: string): Promise<ChosenBackend> {
  if (name === 'webgpu') {
    const { useWebGPU } = await import('@mneme/kernels-webgpu')
    const { software, info } = await useWebGPU({ allowSoftware: true, onLost })
    const title = [info.vendor, info.architecture].filter((part) => part !== '').join(' ')
    const slow = software ? ', on an adapter that is software and slow' : ''
    return { name, why: `${why}${slow}${title === '' ? '' : ` (${title})`}`, adapter: info, software }
  }
  if (name === 'wasm') {
    const { useWasm } = await import('@mneme/kernels-wasm')
    // its threads are started from blob: URLs, which the page's policy forbids
    env().set('WASM_HAS_MULTITHREAD_SUPPORT', false)
    await useWasm({
      wasmPaths: {
        'tfjs-backend-wasm.wasm': plain,
        'tfjs-backend-wasm-simd.wasm': simd,
        'tfjs-backend-wasm-threaded-simd.wasm': threaded,
      },
    })
  } else {
    await import('@tensorflow/tfjs-backend-cpu')
    await setBackend('cpu')
    await ready()
  }
  return { name, why, adapter: null, software: false }
}

/** Null if there is a real one. Asked before the WebGPU code is loaded. */
async function graphicsCardMissing(): Promise<string | null> {
  const gpu: GPU | undefined = navigator.gpu
  if (gpu === undefined) return 'this browser has no WebGPU'
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (adapter === null) return 'no graphics card was found'
  const { info } = adapter
  const names = [info.vendor, info.architecture, info.device, info.description].join(' ')
  const imitated = info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(names)
  return imitated ? 'the only WebGPU adapter here is software' : null
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
