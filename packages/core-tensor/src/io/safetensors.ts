import type { ByteSource } from './byte-source.js'
import { widenBF16, widenF16 } from './half.js'
import {
  headerLength,
  parseHeader,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsHeader,
  type SafetensorsValues,
  safetensorsDtypes,
  type TensorEntry,
} from './safetensors-header.js'

export * from './byte-source.js'
export {
  maxHeaderBytes,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsHeader,
  type SafetensorsValues,
  safetensorsDtypes,
  type TensorEntry,
} from './safetensors-header.js'
export { type TensorsToWrite, type TensorToWrite, writeSafetensors } from './safetensors-writer.js'

/**
 * A tensor as a file holds it, F16 and BF16 widened to float32. `dtype` is that of the file, so that the tensor can be
 * written back in it. `values` is memory of its own, row-major.
 */
export interface SafetensorsTensor {
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly values: SafetensorsValues
}

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>
  readonly metadata: ReadonlyMap<string, string>
}

/**
 * Reads and checks the header; nothing of the tensors. Two reads.
 *
 * @throws SafetensorsError if the file is not well formed
 */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const file = source.name ?? 'safetensors'
  const length = headerLength(file, await readExactly(source, file, null, 0, Math.min(8, source.size)), source.size)
  return parseHeader(file, await readExactly(source, file, null, 8, 8 + length), source.size)
}

/**
 * Reads one tensor, in one read of just its bytes.
 *
 * @throws SafetensorsError if there is no such tensor, or the source gives fewer bytes than it has said
 */
export async function readTensor(
  source: ByteSource,
  header: SafetensorsHeader,
  name: string,
): Promise<SafetensorsTensor> {
  const entry = header.tensors.get(name)
  if (entry === undefined) {
    throw new SafetensorsError(
      header.file,
      name,
      `expected one of the file's ${header.tensors.size} tensors, got no such name.`,
    )
  }
  return decode(entry, await readExactly(source, header.file, name, entry.begin, entry.end))
}

async function readExactly(
  source: ByteSource,
  file: string,
  tensor: string | null,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  const bytes = await source.read(begin, end)
  if (bytes.length !== end - begin) {
    throw new SafetensorsError(
      file,
      tensor,
      `expected ${end - begin} bytes at byte ${begin}, got ${bytes.length}. Fetch the file again.`,
    )
  }
  return bytes
}

/**
 * Reads a whole file that is in memory. The values are copies.
 *
 * @throws SafetensorsError if the file is not well formed
 */
export function parseSafetensors(bytes: Uint8Array, file = 'safetensors'): Safetensors {
  const length = headerLength(file, bytes.subarray(0, 8), bytes.length)
  const header = parseHeader(file, bytes.subarray(8, 8 + length), bytes.length)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const [name, entry] of header.tensors) {
    tensors.set(name, decode(entry, new Uint8Array(bytes.subarray(entry.begin, entry.end))))
  }
  return { tensors, metadata: header.metadata }
}

/** Takes over `bytes`, of which the values may be a view. */
function decode({ dtype, shape }: TensorEntry, bytes: Uint8Array): SafetensorsTensor {
  const aligned = bytes.byteOffset % safetensorsDtypes[dtype] === 0 ? bytes : new Uint8Array(bytes)
  return { dtype, shape, values: viewAs(dtype, aligned) }
}

function viewAs(dtype: SafetensorsDtype, { buffer, byteOffset, byteLength }: Uint8Array): SafetensorsValues {
  const length = byteLength / safetensorsDtypes[dtype]
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer, byteOffset, length)
    case 'F32':
      return new Float32Array(buffer, byteOffset, length)
    case 'F16':
      return widenF16(new Uint16Array(buffer, byteOffset, length))
    case 'BF16':
      return widenBF16(new Uint16Array(buffer, byteOffset, length))
    case 'I64':
      return new BigInt64Array(buffer, byteOffset, length)
    case 'I32':
      return new Int32Array(buffer, byteOffset, length)
    case 'I16':
      return new Int16Array(buffer, byteOffset, length)
    case 'I8':
      return new Int8Array(buffer, byteOffset, length)
    case 'U8':
    case 'BOOL':
      return new Uint8Array(buffer, byteOffset, length)
  }
}

/**
 * The values as tfjs holds them: float32 for every float (F64 rounds to nearest), int32 for every integer.
 *
 * @throws SafetensorsError for an I64 value beyond int32
 */
export function narrow(
  name: string,
  { dtype, shape, values }: SafetensorsTensor,
  file = 'safetensors',
): { shape: readonly number[]; values: Float32Array | Int32Array } {
  if (values instanceof Float32Array || values instanceof Int32Array) return { shape, values }
  if (values instanceof Float64Array) return { shape, values: Float32Array.from(values) }
  if (!(values instanceof BigInt64Array)) return { shape, values: Int32Array.from(values) }
  const narrowed = new Int32Array(values.length)
  for (const [i, value] of values.entries()) {
    if (BigInt.asIntN(32, value) !== value) {
      throw new SafetensorsError(file, name, `expected ${dtype} values within int32, got ${value} at index ${i}.`)
    }
    narrowed[i] = Number(value)
  }
  return { shape, values: narrowed }
}
