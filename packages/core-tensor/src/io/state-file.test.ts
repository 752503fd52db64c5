import { tensor } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { diffState, disposeState, loadState, type SavedState, type State, saveState } from '../state.js'
import { SafetensorsError, writeSafetensors } from './safetensors.js'
import { readStateFile, writeStateFile } from './state-file.js'

test('a state of every kind of leaf comes back equal', async () => {
  const state = {
    blocks: [
      { h: tensor([[1, 2.5, -0]], [1, 3]), position: 7 },
      [null, tensor([1, -2], [2], 'int32')],
      { full: tensor([1, 0], [2], 'bool'), empty: tensor([], [0, 4]), scalar: tensor(3) },
    ],
    max: Number.NEGATIVE_INFINITY,
    nothing: null,
    zero: -0,
  }
  const saved = await saveState(state)
  const read = readStateFile(writeStateFile(saved, { note: 'x' }))
  expect(read.structure).toEqual(saved.structure)
  expect({ ...read.tensors }).toEqual(saved.tensors)
  const live = loadState(read) as typeof state
  expect(diffState(state.blocks, live.blocks).every(({ maxAbs }) => maxAbs === 0)).toBe(true)
  disposeState(live)
  disposeState(state)
})

test.each<State>([null, 5, [], {}])('the bare state %j', async (state) => {
  expect(loadState(readStateFile(writeStateFile(await saveState(state))))).toEqual(state)
})

test('a state that is one tensor', async () => {
  const state = tensor([1, 2])
  const live = loadState(readStateFile(writeStateFile(await saveState(state))))
  expect(diffState(state, live)).toEqual([{ path: '', maxAbs: 0 }])
  disposeState([state, live])
})

const values = Float32Array.of(1)
const one = { shape: [1], values }

test.each<[string, Uint8Array, RegExp]>([
  ['no state at all', writeSafetensors({ a: one }), /expected metadata 'mneme.state', got none/],
  ['a structure that is not JSON', writeSafetensors({}, { 'mneme.state': '{' }), /structure as JSON/],
  ['strings in the structure', writeSafetensors({}, { 'mneme.state': '["x"]' }), /numbers and tensors, got "x"/],
  [
    'a tensor missing',
    writeSafetensors({}, { 'mneme.state': '{"$tensor":"a"}' }),
    /'a': expected as part of the state/,
  ],
  ['a tensor too many', writeSafetensors({ a: one }, { 'mneme.state': 'null' }), /'a': expected a place in the state/],
  [
    'a dtype that tfjs lacks',
    writeSafetensors({ a: { ...one, dtype: 'F16' } }, { 'mneme.state': '{"$tensor":"a"}' }),
    /'a': expected F32, I32 or BOOL, got F16/,
  ],
  ['nothing', new Uint8Array(0), /at least 8 bytes/],
])('refuses %s', (_, bytes, message) => {
  expect(() => readStateFile(bytes, 'run.state')).toThrow(SafetensorsError)
  expect(() => readStateFile(bytes, 'run.state')).toThrow(message)
})

test('refuses to write strings', () => {
  const saved = { structure: { $tensor: 'a' }, tensors: { a: { shape: [1], dtype: 'string', values } } } as SavedState
  expect(() => writeStateFile(saved)).toThrow(/'a': expected float32, int32 or bool, got string/)
})
