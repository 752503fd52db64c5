import { engine } from '@tensorflow/tfjs-core'

interface Buffer {
  readonly bytes: number
}

type BufferMap = Pick<WeakMap<object, Buffer>, 'get' | 'has' | 'set' | 'delete'>

/** The engine of tfjs, as far as it knows what each buffer takes. */
interface Buffers {
  readonly state: { tensorInfo: BufferMap }
}

/** A map of buffers that adds up what comes and goes. */
class Counted implements BufferMap {
  bytes = 0
  most = 0

  constructor(private readonly inner: BufferMap) {}

  get(key: object): Buffer | undefined {
    return this.inner.get(key)
  }

  has(key: object): boolean {
    return this.inner.has(key)
  }

  set(key: object, buffer: Buffer): WeakMap<object, Buffer> {
    this.bytes += buffer.bytes - (this.get(key)?.bytes ?? 0)
    this.most = Math.max(this.most, this.bytes)
    return this.inner.set(key, buffer)
  }

  delete(key: object): boolean {
    this.bytes -= this.get(key)?.bytes ?? 0
    return this.inner.delete(key)
  }
}

/**
 * The most bytes that buffers of tensors hold at a time while `f` runs, beyond those that were held before. A buffer that
 * several tensors share counts once, which `memory()` and `profile` of tfjs do not see to. Scratch that kernels allocate
 * for themselves does not count.
 */
export async function peakBytes(f: () => Promise<unknown>): Promise<number> {
  const { state } = engine() as unknown as Buffers
  const inner = state.tensorInfo
  const counted = new Counted(inner)
  state.tensorInfo = counted
  try {
    await f()
  } finally {
    state.tensorInfo = inner
  }
  return counted.most
}
