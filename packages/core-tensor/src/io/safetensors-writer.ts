import { roundToBF16, roundToF16 } from './half.js'
import {
  byteSize,
  isCount,
  isDtype,
  maxHeaderBytes,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsValues,
  safetensorsDtypes,
} from './safetensors-header.js'

/** A tensor to write. `dtype` if absent is the one of `values`: F32 for a Float32Array, U8 for a Uint8Array, and so on. */
export interface TensorToWrite {
  readonly shape: readonly number[]
  readonly values: SafetensorsValues
  readonly dtype?: SafetensorsDtype
}
export type TensorsToWrite = ReadonlyMap<string, TensorToWrite> | Readonly<Record<string, TensorToWrite>>

/** Entries of a map or of a record. */
export function entriesOf(tensors: TensorsToWrite): [string, TensorToWrite][] {
  return tensors instanceof Map ? [...tensors] : Object.entries(tensors)
}

/**
 * The bytes of a safetensors file. Order and layout are those of the Python library (wider types first, then by name),
 * so equal tensors make equal files. `format: 'pt'` is added to the metadata, since transformers insists on it.
 *
 * Floats round to nearest, ties to even, by way of float32 for F16 and BF16.
 *
 * @throws SafetensorsError if the number of values is not that of the shape, or a value does not fit an integer dtype
 */
export function writeSafetensors(
  tensors: TensorsToWrite,
  metadata: Readonly<Record<string, string>> = {},
  file = 'safetensors',
): Uint8Array<ArrayBuffer> {
  const rows = entriesOf(tensors).map(([name, tensor]) => planned(file, name, tensor))
  rows.sort((a, b) => rank(a.dtype) - rank(b.dtype) || (a.name < b.name ? -1 : 1))
  const header = encodeHeader(file, rows, metadata)
  const total = rows.reduce((sum, { bytes }) => sum + bytes, header.length)
  const result = new Uint8Array(total)
  result.set(header)
  let position = header.length
  for (const { name, dtype, values, bytes } of rows) {
    result.set(encode(file, name, dtype, values), position)
    position += bytes
  }
  return result
}

interface Row {
  readonly name: string
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly values: SafetensorsValues
  readonly bytes: number
}

const order: readonly SafetensorsDtype[] = ['I64', 'F64', 'F32', 'I32', 'BF16', 'F16', 'I16', 'I8', 'U8', 'BOOL']

function rank(dtype: SafetensorsDtype): number {
  return order.indexOf(dtype)
}

function planned(file: string, name: string, { shape, values, dtype = dtypeOf(values) }: TensorToWrite): Row {
  if (name === '__metadata__' || /\p{Surrogate}/u.test(name)) {
    throw new SafetensorsError(file, name, 'expected a name in valid Unicode other than __metadata__. Rename it.')
  }
  if (!isDtype(dtype))
    throw new SafetensorsError(file, name, `expected a dtype of ${order.join(' ')}, got '${String(dtype)}'.`)
  const bytes = shape.every(isCount) ? byteSize(shape, dtype) : null
  if (bytes !== values.length * safetensorsDtypes[dtype]) {
    throw new SafetensorsError(
      file,
      name,
      `expected as many values as [${shape.join(', ')}] has, got ${values.length}.`,
    )
  }
  return { name, dtype, shape, values, bytes }
}

function dtypeOf(values: SafetensorsValues): SafetensorsDtype {
  if (values instanceof Float64Array) return 'F64'
  if (values instanceof Float32Array) return 'F32'
  if (values instanceof BigInt64Array) return 'I64'
  if (values instanceof Int32Array) return 'I32'
  if (values instanceof Int16Array) return 'I16'
  return values instanceof Int8Array ? 'I8' : 'U8'
}

function encodeHeader(file: string, rows: readonly Row[], metadata: Readonly<Record<string, string>>): Uint8Array {
  let position = 0
  const entries: string[] = [`"__metadata__":${JSON.stringify({ format: 'pt', ...metadata })}`]
  for (const { name, dtype, shape, bytes } of rows) {
    entries.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [position, position + bytes] })}`,
    )
    position += bytes
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`)
  const length = Math.ceil(json.length / 8) * 8
  if (length > maxHeaderBytes) {
    throw new SafetensorsError(
      file,
      null,
      `expected a header of at most ${maxHeaderBytes} bytes, got ${length}. Write several files.`,
    )
  }
  const header = new Uint8Array(8 + length).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true)
  header.set(json, 8)
  return header
}

const integerRanges: Readonly<Partial<Record<SafetensorsDtype, readonly [lowest: number, highest: number]>>> = {
  I64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  I32: [-(2 ** 31), 2 ** 31 - 1],
  I16: [-(2 ** 15), 2 ** 15 - 1],
  I8: [-128, 127],
  U8: [0, 255],
  BOOL: [0, 1],
}

function encode(file: string, name: string, dtype: SafetensorsDtype, values: SafetensorsValues): Uint8Array {
  const encoded = dtype === dtypeOf(values) ? values : converted(file, name, dtype, values)
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength)
}

function converted(file: string, name: string, dtype: SafetensorsDtype, values: SafetensorsValues): ArrayBufferView {
  const numbers: ArrayLike<number | bigint> = values
  const range = integerRanges[dtype]
  if (range === undefined) return floats(dtype, numbers)
  const integer = (value: number | bigint, i: number): number => {
    const number = Number(value)
    if (Number.isInteger(number) && number >= range[0] && number <= range[1]) return number
    const problem = `expected ${dtype} values within [${range.join(', ')}], got ${value} at index ${i}.`
    throw new SafetensorsError(file, name, problem)
  }
  if (dtype === 'I64') return BigInt64Array.from(numbers, (value, i) => BigInt(integer(value, i)))
  if (dtype === 'I32') return Int32Array.from(numbers, integer)
  if (dtype === 'I16') return Int16Array.from(numbers, integer)
  return dtype === 'I8' ? Int8Array.from(numbers, integer) : Uint8Array.from(numbers, integer)
}

function floats(dtype: SafetensorsDtype, numbers: ArrayLike<number | bigint>): ArrayBufferView {
  if (dtype === 'F64') return Float64Array.from(numbers, Number)
  const singles = numbers instanceof Float32Array ? numbers : Float32Array.from(numbers, Number)
  return dtype === 'F32' ? singles : dtype === 'F16' ? roundToF16(singles) : roundToBF16(singles)
}
