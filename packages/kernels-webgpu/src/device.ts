/** No adapter could be had: WebGPU is absent, switched off, or finds no driver. */
export class NoAdapterError extends Error {
  override readonly name = 'NoAdapterError'
}

/** The adapter is a program that imitates a graphics card, and the caller has not allowed that. */
export class SoftwareAdapterError extends Error {
  override readonly name = 'SoftwareAdapterError'
}

/** The device is gone and all tensors on it are lost. `reason` is 'destroyed' if the program itself let it go. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError'

  constructor(
    readonly reason: GPUDeviceLostReason,
    message: string,
  ) {
    super(`WebGPU device: lost (${reason}), ${message || 'no message'}. Make a new one and load the last checkpoint.`)
  }
}

/** A tensor needs a larger buffer than the device has. */
export class BufferTooLargeError extends RangeError {
  override readonly name = 'BufferTooLargeError'

  constructor(
    where: string,
    readonly bytes: number,
    readonly limitBytes: number,
  ) {
    super(
      `${where}: expected a buffer of at most ${limitBytes} bytes, got ${bytes}. Use a smaller batch, length or width.`,
    )
  }
}

export interface DeviceOptions {
  /** Where adapters come from; `navigator.gpu` if absent. */
  readonly gpu?: GPU | undefined
  readonly powerPreference?: GPUPowerPreference
  /** Called once if the device is lost, unless the program itself destroyed it. */
  readonly onLost?: (error: DeviceLostError) => void
}

/** What the adapter says of itself; browsers leave parts empty. */
export interface DeviceInfo {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
}

export interface WebGPUDevice {
  readonly device: GPUDevice
  readonly info: DeviceInfo
  /** The adapter runs on the processor: right, but far slower than the wasm backend. */
  readonly software: boolean
  readonly limits: GPUSupportedLimits
  readonly features: ReadonlySet<string>
  /** Resolves once, when the device is gone for whatever reason. */
  readonly lost: Promise<DeviceLostError>
}

// the types that tfjs-backend-webgpu brings are older than subgroups
const wantedFeatures: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query']

/** Limits for which a device gets no more than the standard's minimum unless it asks. */
const wantedLimits = [
  'maxStorageBuffersPerShaderStage',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies readonly (keyof GPUSupportedLimits)[]

/**
 * A device with half floats, subgroups, timestamps, and the largest buffers and the most bindings that the adapter has;
 * what it lacks is left out. `features` and `limits` of the result tell what came.
 *
 * @throws NoAdapterError if there is no WebGPU or no adapter
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<WebGPUDevice> {
  const gpu = options.gpu ?? globalThis.navigator?.gpu
  if (gpu === undefined) {
    throw new NoAdapterError(
      'requestDevice: expected WebGPU, got none. Use a secure page (https) in a browser that has it.',
    )
  }
  const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' })
  if (adapter === null) {
    throw new NoAdapterError(
      'requestDevice: expected a WebGPU adapter, got none. Update the graphics driver, or use another backend.',
    )
  }
  const device = await deviceOf(adapter)
  const info = describe(adapter.info)
  const lost = device.lost.then(({ reason, message }) => new DeviceLostError(reason, message))
  if (options.onLost !== undefined) {
    const { onLost } = options
    lost.then((error) => {
      if (error.reason !== 'destroyed') onLost(error)
    })
  }
  return { device, info, software: isSoftware(adapter), limits: device.limits, features: device.features, lost }
}

async function deviceOf(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {}
  for (const name of wantedLimits) {
    const limit: number | undefined = adapter.limits[name]
    if (limit !== undefined) requiredLimits[name] = limit
  }
  return adapter.requestDevice({
    label: 'mneme',
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[],
    requiredLimits,
  })
}

function describe(info: GPUAdapterInfo | undefined): DeviceInfo {
  const { vendor = '', architecture = '', device = '', description = '' } = info ?? {}
  return { vendor, architecture, device, description }
}

/** Older browsers do not mark their fallback adapter, so it is known by name too. */
function isSoftware(adapter: GPUAdapter): boolean {
  const { isFallbackAdapter } = adapter as { readonly isFallbackAdapter?: boolean }
  const { vendor, architecture, device, description } = describe(adapter.info)
  const names = [vendor, architecture, device, description].join(' ')
  return (
    adapter.info?.isFallbackAdapter === true ||
    isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(names)
  )
}

/**
 * Refuses a buffer before anything has run: WebGPU itself tells of one only later, by an error that no caller sees.
 *
 * @throws BufferTooLargeError
 */
export function checkBufferSize(
  where: string,
  bytes: number,
  limits: Pick<GPUSupportedLimits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>,
): void {
  const limit = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize)
  if (bytes > limit) throw new BufferTooLargeError(where, bytes, limit)
}
