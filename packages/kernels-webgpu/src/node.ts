import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { NoAdapterError, type WebGPUDevice } from './device.js'
import type { UseWebGPUOptions } from './index.js'

export { NoAdapterError, SoftwareAdapterError, type WebGPUDevice } from './device.js'

/**
 * `useWebGPU` for Node, on the optional package `webgpu` (Dawn). Takes the graphics card if there is a driver for it,
 * and else, with `allowSoftware`, the SwiftShader driver that Chromium brings (Linux only).
 *
 * Sets `navigator.gpu` and the WebGPU globals. Call `disposeWebGPU` at the end, or Node may not exit by itself.
 *
 * @throws NoAdapterError if the package or an adapter is missing; SoftwareAdapterError as in the browser
 */
export async function useWebGPU(options: UseWebGPUOptions = {}): Promise<WebGPUDevice> {
  const gpu = options.gpu ?? (await nodeGPU(options.allowSoftware ?? false))
  // tfjs looks for WebGPU while it is imported
  const { useWebGPU: use } = await import('./index.js')
  return use({ ...options, gpu })
}

/** Frees the device, so that Node can exit. */
export async function disposeWebGPU(): Promise<void> {
  const { disposeWebGPU: dispose } = await import('./index.js')
  await dispose()
}

// one for the whole process: its adapters and devices outlive it badly when it is collected
let gpu: GPU | null = null

async function nodeGPU(allowSoftware: boolean): Promise<GPU> {
  if (gpu !== null) return gpu
  const dawn = await importDawn()
  const adapterOf = async (): Promise<GPU | null> => {
    const made = dawn.create([])
    return (await made.requestAdapter()) === null ? null : made
  }
  process.env.XDG_RUNTIME_DIR ??= tmpdir()
  gpu = mayHaveDriver() ? await adapterOf() : null
  if (gpu === null && allowSoftware && useSwiftShader()) gpu = await adapterOf()
  if (gpu === null) {
    throw new NoAdapterError(
      `useWebGPU: expected a WebGPU adapter, got none. ${allowSoftware ? "Install Debian's chromium for its software driver" : 'Install a Vulkan driver'}, or use @mneme/kernels-wasm.`,
    )
  }
  Object.assign(globalThis, dawn.globals)
  // newer Node has a navigator, without gpu
  if (globalThis.navigator === undefined) {
    Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'node' }, configurable: true, writable: true })
  }
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true })
  return gpu
}

async function importDawn(): Promise<typeof import('webgpu')> {
  try {
    return await import('webgpu')
  } catch (cause) {
    throw new NoAdapterError("useWebGPU: expected the package 'webgpu', got none that loads. Run npm install webgpu.", {
      cause,
    })
  }
}

/** On Linux Dawn complains on stderr where there is no Vulkan at all, so it is not asked there. */
function mayHaveDriver(): boolean {
  if (process.platform !== 'linux' || process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return true
  const folders = ['/etc/vulkan/icd.d', '/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']
  return folders.some((folder) => existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.json')))
}

/** Points the Vulkan loader at Chromium's SwiftShader; false if it is not found. */
function useSwiftShader(): boolean {
  const manifest = process.platform === 'linux' ? findManifest() : undefined
  if (manifest === undefined) return false
  process.env.VK_ICD_FILENAMES = manifest
  process.env.VK_DRIVER_FILES = manifest
  preload(join(dirname(manifest), 'libvulkan.so.1'))
  return true
}

const manifestName = 'vk_swiftshader_icd.json'

function findManifest(): string | undefined {
  const folders = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome', '/opt/chromium.org/chromium']
  const usual = folders.map((folder) => join(folder, manifestName)).find((path) => existsSync(path))
  if (usual !== undefined) return usual
  try {
    const files = execFileSync('dpkg', ['-L', 'chromium'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return files.split('\n').find((path) => path.endsWith(manifestName))
  } catch {
    return undefined
  }
}

/**
 * Loads Chromium's Vulkan loader, for systems that have none of their own: Dawn then finds it by its name. Node refuses
 * it as no addon of its own and closes it again, which this flag of dlopen (RTLD_NODELETE) makes harmless.
 */
function preload(library: string): void {
  if (!existsSync(library)) return
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | 0x1000)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_DLOPEN_FAILED') throw error
  }
}
