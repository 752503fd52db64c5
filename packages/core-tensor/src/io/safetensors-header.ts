import { parseJson } from './json.js'

/** Bytes per element of each element type. */
export const safetensorsDtypes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const
export type SafetensorsDtype = keyof typeof safetensorsDtypes

export type SafetensorsValues =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array

/** Longest header that is read, as in the Rust implementation: 100 MB. */
export const maxHeaderBytes = 100_000_000

/** A file that is not what the format says, or a tensor that cannot be had from it or put into it. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError'

  constructor(
    readonly file: string,
    readonly tensor: string | null,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${file}${tensor === null ? '' : `, tensor '${tensor}'`}: ${problem}`, options)
  }
}

/** What a header says of one tensor. Offsets in bytes, `[begin, end)`, from the start of the file. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface SafetensorsHeader {
  readonly file: string
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: ReadonlyMap<string, string>
}

/**
 * Length in bytes of the JSON header, from the first 8 bytes of a file of `size` bytes.
 *
 * @throws SafetensorsError if it is over the cap or the file is too short for it
 */
export function headerLength(file: string, prefix: Uint8Array, size: number): number {
  if (prefix.length < 8) {
    throw new SafetensorsError(file, null, `expected at least 8 bytes, got ${prefix.length}. ${truncated}`)
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8)
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32
  if (length > maxHeaderBytes) {
    throw new SafetensorsError(
      file,
      null,
      `expected a header of at most ${maxHeaderBytes} bytes, got ${length}. ${foreign}`,
    )
  }
  if (8 + length > size) {
    throw new SafetensorsError(
      file,
      null,
      `expected a header of ${length} bytes, got a file of ${size} bytes. ${truncated}`,
    )
  }
  return length
}

const truncated = 'The file is cut short: fetch it again.'
const foreign = 'Is this a safetensors file?'

/**
 * Reads and checks the JSON header of a file of `size` bytes: the tensors fill the rest of the file without overlap or
 * hole. No memory is taken for the tensors' data.
 *
 * @throws SafetensorsError
 */
export function parseHeader(file: string, json: Uint8Array, size: number): SafetensorsHeader {
  const start = 8 + json.length
  const tensors = new Map<string, TensorEntry>()
  let metadata: ReadonlyMap<string, string> = new Map()
  for (const [name, item] of Object.entries(headerObject(file, json))) {
    if (name === '__metadata__') metadata = readMetadata(file, item)
    else tensors.set(name, readEntry(file, name, item, start, size))
  }
  checkCover(file, tensors, start, size)
  return { file, tensors, metadata }
}

function headerObject(file: string, json: Uint8Array): object {
  if (json[0] !== 0x7b) throw new SafetensorsError(file, null, `expected a header that begins with '{'. ${foreign}`)
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)) as object
  } catch (error) {
    throw new SafetensorsError(file, null, `expected a JSON header, got ${(error as Error).message}. ${foreign}`, {
      cause: error,
    })
  }
}

function readMetadata(file: string, item: unknown): Map<string, string> {
  if (!isObject(item))
    throw new SafetensorsError(file, null, `expected __metadata__ to be an object, got ${shown(item)}.`)
  const metadata = new Map<string, string>()
  for (const [key, value] of Object.entries(item)) {
    if (typeof value !== 'string') {
      throw new SafetensorsError(file, null, `expected __metadata__ '${key}' to be a string, got ${shown(value)}.`)
    }
    metadata.set(key, value)
  }
  return metadata
}

function readEntry(file: string, name: string, item: unknown, start: number, size: number): TensorEntry {
  const fail = (problem: string): never => {
    throw new SafetensorsError(file, name, problem)
  }
  if (!isObject(item)) return fail(`expected { dtype, shape, data_offsets }, got ${shown(item)}.`)
  const field = (key: string): unknown => (Object.hasOwn(item, key) ? item[key] : undefined)
  const dtype = field('dtype')
  if (typeof dtype !== 'string' || !isDtype(dtype)) {
    return fail(`expected dtype to be one of ${Object.keys(safetensorsDtypes).join(' ')}, got ${shown(dtype)}.`)
  }
  const shape = field('shape')
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return fail(`expected shape to be a list of sizes, got ${shown(shape)}.`)
  }
  const bytes = byteSize(shape, dtype)
  if (bytes === null) return fail(`expected a size below 2^53 bytes, got ${dtype} [${shape.join(', ')}].`)
  const offsets = field('data_offsets')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail(`expected data_offsets to be [begin, end], got ${shown(offsets)}.`)
  }
  const [begin, end] = offsets as [number, number]
  if (end - begin !== bytes) {
    return fail(`expected ${bytes} bytes for ${dtype} [${shape.join(', ')}], got data_offsets [${begin}, ${end}].`)
  }
  if (start + end > size) {
    return fail(`expected data up to byte ${start + end}, got a file of ${size} bytes. ${truncated}`)
  }
  return { dtype, shape, begin: start + begin, end: start + end }
}

/** In memory order, each tensor must begin where the last one ended, and the last must end with the file. */
function checkCover(file: string, tensors: ReadonlyMap<string, TensorEntry>, start: number, size: number): void {
  const rows = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let position = start
  let previous = ''
  for (const [name, { begin, end }] of rows) {
    if (begin < position) {
      throw new SafetensorsError(
        file,
        name,
        `expected data apart from that of '${previous}', got an overlap at byte ${begin}.`,
      )
    }
    if (begin > position) {
      throw new SafetensorsError(
        file,
        name,
        `expected data from byte ${position}, got a hole of ${begin - position} bytes before it.`,
      )
    }
    position = end
    previous = name
  }
  if (position !== size) {
    throw new SafetensorsError(file, null, `expected the data to end at byte ${position}, got a file of ${size} bytes.`)
  }
}

/** Bytes of a tensor; null if that is no exact integer. */
export function byteSize(shape: readonly number[], dtype: SafetensorsDtype): number | null {
  let bytes: number = safetensorsDtypes[dtype]
  for (const size of shape) {
    bytes *= size
    if (!Number.isSafeInteger(bytes)) return null
  }
  return bytes
}

/** Whether a name is that of a type which safetensors files here may hold. */
export function isDtype(name: string): name is SafetensorsDtype {
  return Object.hasOwn(safetensorsDtypes, name)
}

/** Whether a value of a header can be a size or an offset: a whole number from 0 on. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
