import { kernelRefusals, type SelfTestReport } from '@mneme/core-tensor'
import { setBackend } from '@tensorflow/tfjs-core'
import type { BackendName } from '../../protocol'
import { chooseBackend } from '../backend'
import { testAnew } from '../verdicts'

/** The graphics adapter, as the browser describes it. */
export interface AdapterFacts {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  readonly features: readonly string[]
  readonly limits: Readonly<Record<string, number>>
}

/** Everything that the page shows of a device; plain JSON, to be sent with a report of trouble. */
export interface DeviceReport {
  readonly time: string
  readonly userAgent: string
  readonly cores: number
  readonly crossOriginIsolated: boolean
  readonly adapter: AdapterFacts | null
  readonly selfTest: SelfTestReport
  readonly refusals: readonly string[]
}

/** Limits that decide whether kernels fit. */
const telling = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const

/** Holds every kernel of a backend to its reference. @throws Error where the backend cannot be had */
export async function help(choice: BackendName): Promise<DeviceReport> {
  // the references are computed on the plain backend
  await import('@tensorflow/tfjs-backend-cpu')
  const { name, adapter } = await chooseBackend(choice, () => undefined)
  await setBackend(name)
  return {
    time: new Date().toISOString(),
    userAgent: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    crossOriginIsolated,
    adapter: await adapterFacts(),
    selfTest: await testAnew(adapter),
    refusals: kernelRefusals(),
  }
}

async function adapterFacts(): Promise<AdapterFacts | null> {
  const gpu: GPU | undefined = navigator.gpu
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (!adapter) return null
  const { vendor, architecture, device, description } = adapter.info
  return {
    vendor,
    architecture,
    device,
    description,
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(telling.map((name) => [name, adapter.limits[name] as number])),
  }
}
