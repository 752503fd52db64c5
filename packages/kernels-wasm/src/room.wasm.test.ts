import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import { add, backend, memory, tensor1d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { heapOf } from './heap.js'
import { refuseWithoutRoom } from './room.js'

test('a tensor beyond 4 GB is refused, and nothing is the worse for it', async () => {
  const x = tensor1d([1, 2])
  const before = { ids: backend().numDataIds(), tensors: memory().numTensors }
  const make = (): unknown => (backend() as BackendWasm).makeOutput([2 ** 28, 8], 'float32')
  expect(make).toThrow(/room for 8,192 MiB more, of 4,096 MiB .* Take fewer rows/)
  expect(() => heapOf(backend()).scratch(2 ** 32 + 16)).toThrow(/room for 4,097 MiB more/)
  expect({ ids: backend().numDataIds(), tensors: memory().numTensors }).toEqual(before)
  const y = add(x, heapOf(backend()).scratch(16) === 0 ? 2 : 1)
  expect(Array.from(await y.data())).toEqual([2, 3])
  for (const t of [x, y]) t.dispose()
})

test('memory that is used up is refused, nothing at all may lie at 0', () => {
  const asked: number[] = []
  const module = {
    HEAPU8: new Uint8Array(0),
    _malloc: (bytes: number): number => asked.push(bytes) - 2,
    _free: () => undefined,
  }
  refuseWithoutRoom(module)
  refuseWithoutRoom(module)
  expect(() => module._malloc(64)).toThrow(RangeError)
  expect(module._malloc(64)).toBe(1)
  expect(module._malloc(0)).toBe(2)
  expect(asked).toEqual([1, 64, 64, 0])
})
