import {
  type OpKernel,
  opKernel,
  registerOpKernel,
  selfTest,
  selfTestOnce,
  type VerdictStore,
} from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { memory } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'

test('every kernel agrees with its reference, and nothing is left behind', async () => {
  const before = memory().numTensors
  const { verdicts, backend } = await selfTest()
  expect(backend).toBe('wasm')
  expect(verdicts.filter(({ verdict }) => verdict === 'agrees').length).toBeGreaterThanOrEqual(5)
  expect(verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'fails')).toEqual([])
  expect(memory().numTensors).toBe(before)
})

test('a kernel that is wrong is found and taken out of use', async () => {
  const kernel = opKernel('rmsNorm', 'wasm')
  if (kernel === undefined) throw new Error('expected a kernel for rmsNorm')
  registerOpKernel('rmsNorm', 'wasm', {
    forward: (inputs, attrs, backend) => kernel.forward(inputs, { ...attrs, eps: 1 }, backend),
  })
  const { verdicts } = await selfTest()
  expect(verdicts.find(({ op }) => op === 'rmsNorm')?.verdict).toBe('differs')
  expect(opKernel('rmsNorm', 'wasm')).toBeUndefined()
  registerOpKernel('rmsNorm', 'wasm', kernel)
})

describe('selfTestOnce', () => {
  function store(): VerdictStore & { readonly files: Map<string, Uint8Array> } {
    const files = new Map<string, Uint8Array>()
    return {
      files,
      read: async (name) => files.get(name) ?? null,
      write: async (name, bytes) => void files.set(name, bytes),
    }
  }

  test('tests a device once, and another anew', async () => {
    const kept = store()
    const first = await selfTestOnce(kept, 'one')
    expect(await selfTestOnce(kept, 'one')).toEqual(first)
    expect(kept.files.size).toBe(1)
    const other = await selfTestOnce(kept, 'two')
    expect(kept.files.size).toBe(2)
    expect(other.timeMs).not.toBe(first.timeMs)
  })

  test('takes what did not pass out of use again, without a test', async () => {
    const kernel = opKernel('rmsNorm', 'wasm')
    if (kernel === undefined) throw new Error('expected a kernel for rmsNorm')
    const kept = store()
    const wrong: OpKernel = {
      forward() {
        throw new Error('expected never to be run')
      },
    }
    registerOpKernel('rmsNorm', 'wasm', wrong)
    await selfTestOnce(kept, 'three')
    expect(opKernel('rmsNorm', 'wasm')).toBeUndefined()
    registerOpKernel('rmsNorm', 'wasm', wrong)
    await selfTestOnce(kept, 'three')
    expect(opKernel('rmsNorm', 'wasm')).toBeUndefined()
    registerOpKernel('rmsNorm', 'wasm', kernel)
  })

  test('does not trust a damaged file', async () => {
    const kept = store()
    await selfTestOnce(kept, 'four')
    const [name] = [...kept.files.keys()] as [string]
    kept.files.set(name, new TextEncoder().encode('{"key":'))
    expect((await selfTestOnce(kept, 'four')).verdicts.length).toBeGreaterThan(5)
    expect(() => JSON.parse(new TextDecoder().decode(kept.files.get(name)))).not.toThrow()
  })
})
