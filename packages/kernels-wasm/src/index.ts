import { registerOpKernel } from '@mneme/core-tensor'
import { getThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import {
  BatchMatMul,
  engine,
  getKernel,
  Identity,
  type KernelFunc,
  OneHot,
  ready,
  registerKernel,
  setBackend,
  Tile,
  unregisterKernel,
} from '@tensorflow/tfjs-core'
import { adamW } from './adam-w.js'
import { affine } from './affine.js'
import { complexLinearScan } from './complex-linear-scan.js'
import { crossEntropy } from './cross-entropy.js'
import { deltaRule } from './delta-rule.js'
import { embedding } from './embedding.js'
import { gatedLinearAttention } from './gated-linear-attention.js'
import { gelu } from './gelu.js'
import { gru } from './gru.js'
import { loadKernels } from './heap.js'
import { identityBeside } from './identity.js'
import { layerNorm } from './layer-norm.js'
import { leakyRnn } from './leaky-rnn.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'
import { linearScan } from './linear-scan.js'
import { lstm } from './lstm.js'
import { matMulBeside } from './mat-mul.js'
import { maxPlusScan } from './max-plus-scan.js'
import { minGru } from './min-gru.js'
import { oneHotBeside } from './one-hot.js'
import { rmsNorm } from './rms-norm.js'
import { rotary } from './rotary.js'
import { segmentSum } from './segment-sum.js'
import { selectiveScan } from './selective-scan.js'
import { shortConv } from './short-conv.js'
import { slstm } from './slstm.js'
import { softmaxAttention } from './softmax-attention.js'
import { squaredNorm } from './squared-norm.js'
import { sru } from './sru.js'
import { tileBeside } from './tile.js'
import { wkv4 } from './wkv4.js'

export interface WasmOptions {
  /**
   * Where the browser finds the binaries of tfjs-backend-wasm: a folder (with its last slash), or a URL for each of the
   * three files. Not needed in Node.
   */
  readonly wasmPaths?: string | Readonly<Record<string, string>>
}

const opKernels = {
  adamW,
  affine,
  complexLinearScan,
  crossEntropy,
  deltaRule,
  dplrDeltaRule: deltaRule,
  embedding,
  gatedLinearAttention,
  gelu,
  gru,
  layerNorm,
  leakyRnn,
  linearCrossEntropy,
  linearScan,
  lstm,
  maxPlusScan,
  minGru,
  rmsNorm,
  rotary,
  selectiveScan,
  shortConv,
  slstm,
  softmaxAttention,
  squaredNorm,
  sru,
  wkv4,
}
let registered = false

/**
 * Makes the tfjs WASM backend current and loads our SIMD kernels on its memory: ops of core-tensor, a faster `matMul` and
 * `tile`, `clone` without a copy, `unsortedSegmentSum`, and a right `oneHot` of floats. Calling it again only makes the
 * backend current. An engine without SIMD keeps tfjs's own kernels and the ops' references.
 *
 * @throws Error if the backend does not start, mostly because its binaries are not where `wasmPaths` says
 */
export async function useWasm(options: WasmOptions = {}): Promise<void> {
  if (options.wasmPaths !== undefined) setWasmPaths(options.wasmPaths)
  const started = await setBackend('wasm')
  if (!started) {
    throw new Error("useWasm: the tfjs backend 'wasm' did not start. Give wasmPaths, where its .wasm files are served.")
  }
  await ready()
  if ((await loadKernels(engine().backend)) === null) {
    console.debug('useWasm: this engine has no WebAssembly SIMD; tfjs kernels and references run.')
    return
  }
  if (registered) return
  registered = true
  for (const [op, kernel] of Object.entries(opKernels)) registerOpKernel(op, 'wasm', kernel)
  replace(BatchMatMul, (original) => matMulBeside(original, getThreadsCount()))
  replace(OneHot, oneHotBeside)
  replace(Identity, identityBeside)
  replace(Tile, tileBeside)
  if (!getKernel(segmentSum.kernelName, 'wasm')) registerKernel(segmentSum)
}

const originals = new Map<string, KernelFunc>()

/** The kernel of tfjs that ours stands in the place of, such as 'BatchMatMul', to be measured beside it; null if none. */
export function replacedKernel(kernelName: string): KernelFunc | null {
  return originals.get(kernelName) ?? null
}

/** Puts a kernel in the place of one of tfjs, which it may still call. */
function replace(kernelName: string, kernel: (original: KernelFunc) => KernelFunc): void {
  const original = getKernel(kernelName, 'wasm')
  originals.set(kernelName, original.kernelFunc)
  unregisterKernel(kernelName, 'wasm')
  registerKernel({ ...original, kernelFunc: kernel(original.kernelFunc) })
}
