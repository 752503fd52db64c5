/** What Emscripten puts on its module to allocate memory. */
export interface Allocator {
  /** All of the memory; replaced whenever it grows. */
  readonly HEAPU8: Uint8Array
  _malloc(bytes: number): number
  _free(address: number): void
}

/** What 32 bits can address. */
const LIMIT = 2 ** 32

const guarded = new WeakSet<Allocator>()

/**
 * Makes a module refuse what does not fit into its memory. As it is, tfjs takes the address 0 for an allocation that has
 * failed, and a tensor of 4 GB for one of a few bytes, and writes over whatever lies there.
 *
 * Its `_malloc` then throws a RangeError, and nothing has been allocated.
 */
export function refuseWithoutRoom(module: Allocator): void {
  if (guarded.has(module)) return
  guarded.add(module)
  // the first call puts the real function in its place
  module._free(module._malloc(1))
  const allocate = module._malloc.bind(module)
  module._malloc = (bytes) => {
    const address = bytes < LIMIT ? allocate(bytes) : 0
    if (address !== 0 || bytes === 0) return address
    throw new RangeError(
      `WASM memory: expected room for ${megabytes(bytes)} more, of ${megabytes(LIMIT)} in all, got none beside what the ${megabytes(module.HEAPU8.length)} in use hold. Take fewer rows, shorter pieces, or a smaller model.`,
    )
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MiB`
}
