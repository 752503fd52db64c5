import type { Infos, OpKernel } from '@mneme/core-tensor'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { backward, chains, forward } from './embedding.wgsl.js'
import { fits } from './fits.js'
import { runShader } from './run.js'
import { stepsOn } from './steps.js'

/** Comparisons that looking for equal ids may take: some hundredths of a second on a large graphics card. */
const MOST_COMPARISONS = 2 ** 32
/** Places up to here are floats without loss. */
const MOST_TOKENS = 2 ** 24

function sizesOf({ table, ids }: Infos): { V: number; D: number; N: number } {
  const [V, D] = (table as TensorInfo).shape as [number, number]
  return { V, D, N: (ids as TensorInfo).shape[0] as number }
}

/**
 * Rows of a table: one dispatch forward, two backward. The gradient looks for tokens of equal ids, at most (V + N) N
 * comparisons, and adds up their rows in the order of the tokens: the same sum every time.
 *
 * @param maxBufferBytes largest buffer of the device; larger calls are refused, and the reference runs
 */
export function embeddingKernel(maxBufferBytes: number): OpKernel {
  return {
    accepts: (inputs) => {
      const { V, D, N } = sizesOf(inputs)
      const comparisons = (V + N) * N
      if (N > MOST_TOKENS || comparisons > MOST_COMPARISONS) {
        return `${N} tokens by ${V} ids are ${comparisons} comparisons, ${MOST_COMPARISONS} and ${MOST_TOKENS} tokens are planned for`
      }
      return fits(inputs, N * D === 0 ? 0 : Math.max(V * D, N * D, V + N), maxBufferBytes, ['ids'])
    },
    forward: (inputs, _attrs, backend) => {
      const { D, N } = sizesOf(inputs)
      const call = { sizes: { D }, inputs, outputShapes: { y: [N, D] }, invocations: N * D }
      return runShader(backend as WebGPUBackend, forward, call)
    },
    backward: (dys, inputs, _outputs, _attrs, backend) => {
      const { V, D, N } = sizesOf(inputs)
      const given = { ...inputs, dy: dys.y as TensorInfo }
      const outputShapes = { links: [V + N], dtable: [V, D] }
      const steps = stepsOn(backend as WebGPUBackend, given, { sizes: { V, D, N }, outputShapes })
      steps.run(chains, V + N)
      const { dtable } = steps.run(backward, V * D)
      steps.discard('links')
      return { table: dtable as TensorInfo }
    },
  }
}
