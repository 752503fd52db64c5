import { grad, tensor } from '@tensorflow/tfjs-core'
import { expect, test, vi } from 'vitest'

test('a backward pass of tfjs alone is refused until gradients are registered', async () => {
  vi.resetModules()
  const { defineOp, differentiated } = await import('./op.js')
  const reference = ({ x }: { x: ReturnType<typeof tensor> }): { y: ReturnType<typeof tensor> } => ({ y: x.clone() })
  const spec = { name: 'differentiationTest', inputs: { x: 'N' }, outputs: { y: 'N' }, attrs: {} }
  const op = defineOp({ ...spec, reference, gradient: differentiated(reference) })
  const slope = grad((x) => op({ x }).y)
  const x = tensor([1, 2, 3])
  expect([...op({ x }).y.dataSync()]).toEqual([1, 2, 3])
  expect(() => slope(x)).toThrow(/expected registerGradients\(\) before the forward pass/)
  const { registerGradients } = await import('./gradients.js')
  registerGradients()
  expect([...slope(x).dataSync()]).toEqual([1, 1, 1])
})
