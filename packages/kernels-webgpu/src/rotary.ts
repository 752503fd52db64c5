import type { OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { type TensorInfo, util } from '@tensorflow/tfjs-core'
import { fits } from './fits.js'
import { forward } from './rotary.wgsl.js'
import { runShader } from './run.js'

type Inputs = Readonly<Record<'x' | 'cos' | 'sin', TensorInfo>>

/**
 * Rotary positions in one dispatch. The gradient is the op itself, by the opposite angles.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function rotaryKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts(inputs) {
      const { x, cos } = inputs as Inputs
      if (2 * (cos.shape[2] as number) > (x.shape[3] as number)) return 'angles are for more features than heads have'
      return fits(inputs, util.sizeFromShape(x.shape), maxBufferBytes)
    },
    forward: (inputs, { layout }, backend) => {
      const { x, cos, sin } = inputs as Inputs
      const [, T, H, K] = x.shape as [number, number, number, number]
      const [X, , R] = cos.shape as [number, number, number]
      return runShader(backend as WebGPUBackend, forward, {
        sizes: { T, H, K, R, sameAngles: X === 1 ? 1 : 0, interleaved: layout === 'interleaved' ? 1 : 0 },
        inputs: { x, cosines: cos, sines: sin },
        outputShapes: { y: x.shape },
        invocations: util.sizeFromShape(x.shape),
      })
    },
  }
}
