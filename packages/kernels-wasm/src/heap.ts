import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import type { DataType, KernelBackend, TensorInfo } from '@tensorflow/tfjs-core'
import { type Binary, type Kernels, plain, relaxed } from './gen/kernels.js'
import { type Allocator, refuseWithoutRoom } from './room.js'

/**
 * Our kernels on one tfjs WASM backend: they work on the backend's own memory, so no tensor is copied. Everything is an
 * offset in bytes; nothing keeps a view, because the memory may grow at any allocation.
 */
export class Heap {
  private scratchAt = 0
  private scratchBytes = 0

  constructor(
    private readonly backend: BackendWasm,
    readonly kernels: Kernels,
  ) {}

  /** Where a tensor's values lie, in bytes from the start of the memory; 0 for a tensor that is absent. */
  address(tensor: TensorInfo | undefined): number {
    return tensor === undefined ? 0 : this.backend.dataIdMap.get(tensor.dataId).memoryOffset
  }

  /** A new tensor of undefined contents: a kernel must write every element. */
  output(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    return this.backend.makeOutput([...shape], dtype)
  }

  /** A new tensor of zeros, for kernels that add to what is there. */
  zeros(shape: readonly number[]): TensorInfo {
    const tensor = this.output(shape)
    this.backend.typedArrayFromHeap(tensor).fill(0)
    return tensor
  }

  /** Frees what `output` gave, for a kernel that fails half way. */
  discard(tensor: TensorInfo): void {
    this.backend.disposeData(tensor.dataId)
  }

  /** Regions of working memory of so many bytes, one behind the other, good until the next call. */
  regions(bytes: readonly number[]): number[] {
    if (bytes.length === 0) return []
    let next = this.scratch(bytes.reduce((total, size) => total + size, 0))
    return bytes.map((size) => {
      const at = next
      next += size
      return at
    })
  }

  /** At least `bytes` of working memory, good until the next call; one region, kept for the life of the backend. */
  scratch(bytes: number): number {
    if (bytes <= this.scratchBytes) return this.scratchAt
    const { wasm } = this.backend as unknown as Emscripten
    if (this.scratchAt !== 0) wasm._free(this.scratchAt)
    // none, if there is no room for the new one
    this.scratchAt = 0
    this.scratchBytes = 0
    this.scratchAt = wasm._malloc(bytes) >>> 0
    this.scratchBytes = bytes
    return this.scratchAt
  }
}

/** What Emscripten puts on its module beside what tfjs declares. */
interface Emscripten {
  readonly wasm: Allocator & { readonly asm: Readonly<Record<string, unknown>> }
}

function memoryOf(backend: BackendWasm): WebAssembly.Memory {
  const { wasm } = backend as unknown as Emscripten
  const memory = Object.values(wasm.asm).find((value) => value instanceof WebAssembly.Memory)
  if (memory === undefined) {
    throw new Error(
      'kernels-wasm: expected the WASM backend to export its memory, found none. Use @tensorflow/tfjs-backend-wasm 4.22.',
    )
  }
  return memory as WebAssembly.Memory
}

function decoded(binary: Binary): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(binary.base64), (char) => char.charCodeAt(0))
}

/** Which instructions the kernels use here: fused multiply-add, plain SIMD, or none because there is no SIMD at all. */
type Instructions = 'relaxed' | 'plain' | 'none'

/** The best of our two binaries that this engine can run. Node 20 has relaxed SIMD, but behind a flag, set here. */
function instructions(): Instructions {
  const builtin = globalThis.process?.getBuiltinModule as ((id: string) => unknown) | undefined
  const v8 = builtin?.('node:v8') as { setFlagsFromString(flags: string): void } | undefined
  if (v8 !== undefined && !WebAssembly.validate(decoded(relaxed))) {
    v8.setFlagsFromString('--experimental-wasm-relaxed-simd')
  }
  if (WebAssembly.validate(decoded(relaxed))) return 'relaxed'
  return WebAssembly.validate(decoded(plain)) ? 'plain' : 'none'
}

const heaps = new WeakMap<KernelBackend, Heap>()

/**
 * Loads the kernels on a backend, once; later calls give the same heap, and `null` means that the engine has no SIMD.
 *
 * @throws Error if the backend does not export its memory
 */
export async function loadKernels(backend: KernelBackend): Promise<Heap | null> {
  const best = instructions()
  if (best === 'none') return null
  const binary = best === 'relaxed' ? relaxed : plain
  const memory = memoryOf(backend as BackendWasm)
  refuseWithoutRoom((backend as unknown as Emscripten).wasm)
  const bytes = decoded(binary)
  if (memory.buffer instanceof ArrayBuffer) bytes[binary.sharing] = 1
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } })
  const heap = heaps.get(backend) ?? new Heap(backend as BackendWasm, instance.exports as unknown as Kernels)
  heaps.set(backend, heap)
  return heap
}

/** @throws Error if the kernels have not been loaded on this backend */
export function heapOf(backend: KernelBackend): Heap {
  const heap = heaps.get(backend)
  if (heap === undefined) throw new Error('kernels-wasm: not loaded on this backend. Await useWasm() first.')
  return heap
}

/** Why a kernel cannot take these inputs: those named in `ints` must be int32, the others float32. */
export function typesFit(inputs: Readonly<Record<string, TensorInfo>>, ints: readonly string[] = []): true | string {
  for (const [name, { dtype }] of Object.entries(inputs)) {
    const expected = ints.includes(name) ? 'int32' : 'float32'
    if (dtype !== expected) return `${name} is ${dtype}, not ${expected}`
  }
  return true
}
