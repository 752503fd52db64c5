import { opKernel, registerOpKernel, selfTest } from '@mneme/core-tensor'
import '@tensorflow/tfjs-backend-cpu'
import { memory } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'

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
