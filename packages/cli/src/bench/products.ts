import { replacedKernel } from '@mneme/kernels-wasm'
import {
  add,
  BatchMatMul,
  backend,
  getBackend,
  getKernel,
  type KernelFunc,
  randomNormal,
  type Tensor,
  type TensorInfo,
} from '@tensorflow/tfjs-core'
import { type Timing, timedWith } from './measure.js'

export interface ProductRow {
  /** Shapes of both sides, with T where one is read transposed. */
  readonly product: string
  readonly ours: Timing
  readonly tfjs: Timing
  readonly gigaflops: number
}

interface Product {
  /** Products at a time, each of its own. */
  readonly batch?: number
  /** Of the result, and along the axis that is summed. */
  readonly sizes: readonly [m: number, n: number, k: number]
  readonly transposeA?: boolean
  readonly transposeB?: boolean
}

/** A large square one; a layer forward, and both of its gradients; heads of attention; an output; one token. */
const products: readonly Product[] = [
  { sizes: [512, 512, 512] },
  { sizes: [1024, 192, 64] },
  { sizes: [1024, 64, 192], transposeB: true },
  { sizes: [64, 192, 1024], transposeA: true },
  { sizes: [2048, 512, 128] },
  { sizes: [2048, 128, 512], transposeB: true },
  { sizes: [128, 512, 2048], transposeA: true },
  { batch: 32, sizes: [256, 256, 32], transposeB: true },
  { batch: 32, sizes: [256, 32, 256] },
  { batch: 128, sizes: [64, 64, 32], transposeB: true },
  { sizes: [512, 80, 64] },
  { sizes: [1, 768, 256] },
  { sizes: [8, 768, 256] },
]

/** Our matrix product against the kernel of tfjs that it replaces; nothing where it replaces none. */
export async function benchProducts(): Promise<ProductRow[]> {
  const theirs = replacedKernel(BatchMatMul)
  if (getBackend() !== 'wasm' || theirs === null) return []
  const ours = getKernel(BatchMatMul, 'wasm').kernelFunc
  const rows: ProductRow[] = []
  for (const product of products) rows.push(await row(product, ours, theirs))
  return rows
}

async function row(product: Product, ours: KernelFunc, theirs: KernelFunc): Promise<ProductRow> {
  const { batch = 1, sizes, transposeA = false, transposeB = false } = product
  const [m, n, k] = sizes
  const left = transposeA ? [k, m] : [m, k]
  const right = transposeB ? [n, k] : [k, n]
  const [a, b] = [randomNormal([batch, ...left]), randomNormal([batch, ...right])]
  const run = async (kernel: KernelFunc): Promise<Timing> => {
    // as in training, where weights are new at every step: what is kept for a tensor that comes again does not help
    const fresh = (): Tensor => add(b, 0)
    const multiply = (right: Tensor): void => {
      const given = { inputs: { a, b: right }, attrs: { transposeA, transposeB }, backend: backend() }
      const result = kernel(given) as TensorInfo
      backend().disposeData(result.dataId)
    }
    return await timedWith(fresh, multiply, (right) => right.dispose())
  }
  const timing = { ours: await run(ours), tfjs: await run(theirs) }
  for (const t of [a, b]) t.dispose()
  const side = (shape: readonly number[], transposed: boolean): string =>
    `[${shape.join(', ')}]${transposed ? 'ᵀ' : ''}`
  return {
    product: `${batch > 1 ? `${batch} of ` : ''}${side(left, transposeA)} by ${side(right, transposeB)}`,
    ...timing,
    gigaflops: (2 * batch * m * n * k) / timing.ours.medianMs / 1e6,
  }
}
