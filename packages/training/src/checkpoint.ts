import type { SavedState } from '@mneme/core-tensor'
import { formatConfigJson, parseConfigJson } from '@mneme/core-tensor/io/json'
import {
  parseSafetensors,
  SafetensorsError,
  type TensorToWrite,
  writeSafetensors,
} from '@mneme/core-tensor/io/safetensors'
import type { CheckpointStore } from '@mneme/core-tensor/io/store'
import type { RunSnapshot } from './run.js'

/** The file that a run is kept in: parameters, moments, carried state, and the rest as JSON in the metadata. */
export const runFile = 'run.safetensors'

interface Rest {
  readonly experiment: object
  readonly step: number
  readonly tokens: number
  readonly cursor: unknown
  readonly structure: unknown
}

/** A snapshot as one file, so that a checkpoint is written whole or not at all. */
export function writeRunFile(snapshot: RunSnapshot): Uint8Array {
  const { experiment, step, tokens, cursor, state, tensors } = snapshot
  const all = new Map<string, TensorToWrite>()
  for (const [name, { shape, values }] of Object.entries(tensors)) all.set(name, { dtype: 'F32', shape, values })
  for (const [path, { shape, dtype, values }] of Object.entries(state.tensors)) {
    all.set(`state.${path}`, { dtype: dtype === 'int32' ? 'I32' : 'F32', shape, values: values as Float32Array })
  }
  const rest: Rest = { experiment, step, tokens, cursor, structure: state.structure }
  return writeSafetensors(all, { format: 'pt', run: formatConfigJson(rest, 0) }, runFile)
}

/** @throws SafetensorsError for a broken file, or one that holds no run */
export function readRunFile(bytes: Uint8Array, file = runFile): RunSnapshot {
  const { tensors, metadata } = parseSafetensors(bytes, file)
  const text = metadata.get('run')
  if (text === undefined)
    throw new SafetensorsError(file, null, "expected a run in the metadata, got none. Is this a model's file?")
  const rest = parseConfigJson(text, `${file} run`) as unknown as Rest
  const parameters: Record<string, { shape: readonly number[]; values: Float32Array }> = {}
  const state: Record<string, SavedState['tensors'][string]> = {}
  for (const [name, { dtype, shape, values }] of tensors) {
    if (name.startsWith('state.')) {
      state[name.slice(6)] = { shape, dtype: dtype === 'I32' ? 'int32' : 'float32', values: values as Float32Array }
    } else parameters[name] = { shape, values: values as Float32Array }
  }
  const { structure, ...plain } = rest
  return { ...plain, state: { structure, tensors: state }, tensors: parameters }
}

/** Writes a run into a store, as one file. */
export async function saveRun(store: CheckpointStore, snapshot: RunSnapshot): Promise<void> {
  await store.write(runFile, writeRunFile(snapshot))
}

/** The run in a store, or null if there is none. @throws SafetensorsError for a broken file */
export async function loadRun(store: CheckpointStore): Promise<RunSnapshot | null> {
  const bytes = await store.read(runFile)
  return bytes && readRunFile(bytes)
}
