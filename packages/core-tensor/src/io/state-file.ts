import type { SavedState } from '../state.js'
import { formatConfigJson, parseJson } from './json.js'
import {
  parseSafetensors,
  type SafetensorsDtype,
  SafetensorsError,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors.js'

const structureKey = 'mneme.state'
const dtypes = { float32: 'F32', int32: 'I32', bool: 'BOOL' } as const
type SavedTensor = SavedState['tensors'][string]

/**
 * A saved state as a safetensors file: its tensors by path, and its structure as JSON in the metadata. What is read back
 * is equal bit for bit, numbers such as NaN and -0 included.
 *
 * @throws SafetensorsError for a tensor of strings or complex numbers
 */
export function writeStateFile(
  saved: SavedState,
  metadata: Readonly<Record<string, string>> = {},
  file = 'state',
): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, TensorToWrite>()
  for (const [path, { dtype, shape, values }] of Object.entries(saved.tensors)) {
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
      throw new SafetensorsError(file, path, `expected float32, int32 or bool, got ${dtype}.`)
    }
    // tfjs hands out Uint8ClampedArray nowhere but for pixels
    tensors.set(path, { shape, values: values as Float32Array | Int32Array | Uint8Array, dtype: dtypes[dtype] })
  }
  return writeSafetensors(tensors, { ...metadata, [structureKey]: formatConfigJson(saved.structure, 0) }, file)
}

/**
 * Reads what `writeStateFile` wrote; `loadState` makes it live.
 *
 * @throws SafetensorsError if the file is damaged, is no state, or its structure and its tensors do not belong together
 */
export function readStateFile(bytes: Uint8Array, file = 'state'): SavedState {
  const { tensors, metadata } = parseSafetensors(bytes, file)
  const text = metadata.get(structureKey)
  if (text === undefined) {
    throw new SafetensorsError(
      file,
      null,
      `expected metadata '${structureKey}', got none. Was this file written by writeStateFile?`,
    )
  }
  const saved: Record<string, SavedTensor> = Object.create(null)
  for (const [path, { dtype, shape, values }] of tensors) {
    saved[path] = { dtype: stateDtype(file, path, dtype), shape, values: values as SavedTensor['values'] }
  }
  const structure = readStructure(file, text)
  const named = new Set(tensorPaths(file, structure))
  for (const path of named)
    if (!tensors.has(path)) throw new SafetensorsError(file, path, 'expected as part of the state, got none.')
  for (const path of tensors.keys())
    if (!named.has(path)) throw new SafetensorsError(file, path, 'expected a place in the state, got none.')
  return { structure, tensors: saved }
}

function stateDtype(file: string, path: string, dtype: SafetensorsDtype): SavedTensor['dtype'] {
  const found = (Object.keys(dtypes) as (keyof typeof dtypes)[]).find((name) => dtypes[name] === dtype)
  if (found === undefined) throw new SafetensorsError(file, path, `expected F32, I32 or BOOL, got ${dtype}.`)
  return found
}

function readStructure(file: string, text: string): unknown {
  try {
    return parseJson(text, { nonFinite: true })
  } catch (error) {
    throw new SafetensorsError(file, null, `expected the state's structure as JSON, got ${(error as Error).message}.`, {
      cause: error,
    })
  }
}

function* tensorPaths(file: string, node: unknown): Iterable<string> {
  if (node === null || typeof node === 'number') return
  if (typeof node !== 'object') {
    throw new SafetensorsError(file, null, `expected a state of numbers and tensors, got ${JSON.stringify(node)}.`)
  }
  const path: unknown = Object.hasOwn(node, '$tensor') ? (node as { $tensor: unknown }).$tensor : undefined
  if (typeof path === 'string') yield path
  else for (const item of Object.values(node)) yield* tensorPaths(file, item)
}
