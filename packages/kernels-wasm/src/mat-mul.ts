import { broadcast_util, type KernelBackend, type KernelFunc, type TensorInfo, util } from '@tensorflow/tfjs-core'
import { type Heap, heapOf } from './heap.js'

/** One operand: its matrix as stored, and the batch axes before it. */
interface Operand {
  readonly address: number
  readonly batch: readonly number[]
  readonly bytes: number
}

/**
 * The tfjs kernel `BatchMatMul`, about twice as fast as the one it replaces for single large products, and tens of times
 * where an operand is transposed or batched, which tfjs does without SIMD. Batch axes broadcast as in NumPy.
 *
 * @throws RangeError if the inner sizes differ; TypeError for other types than float32
 */
export const matMul: KernelFunc = ({ inputs, attrs, backend }) => {
  const { a, b } = inputs as { a: TensorInfo; b: TensorInfo }
  const { transposeA, transposeB } = attrs as unknown as { transposeA: boolean; transposeB: boolean }
  if (a.dtype !== 'float32' || b.dtype !== 'float32') {
    throw new TypeError(`matMul: expected float32 and float32, got ${a.dtype} and ${b.dtype}.`)
  }
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number]
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number]
  const m = transposeA ? columnsA : rowsA
  const k = transposeA ? rowsA : columnsA
  const n = transposeB ? rowsB : columnsB
  if (k !== (transposeB ? columnsB : rowsB)) {
    const flags = `transposeA=${transposeA}, transposeB=${transposeB}`
    throw new RangeError(`matMul: inner sizes differ: [${a.shape.join(', ')}] by [${b.shape.join(', ')}], ${flags}.`)
  }
  const heap = heapOf(backend as KernelBackend)
  const left = { address: heap.address(a), batch: a.shape.slice(0, -2), bytes: 4 * m * k }
  const right = { address: heap.address(b), batch: b.shape.slice(0, -2), bytes: 4 * k * n }
  const batch = broadcast_util.assertAndGetBroadcastShape([...left.batch], [...right.batch])
  const out = heap.output([...batch, m, n])
  multiply(heap, left, right, heap.address(out), batch, [m, n, k], transposeA, transposeB)
  return out
}

function multiply(
  heap: Heap,
  left: Operand,
  right: Operand,
  out: number,
  batch: readonly number[],
  [m, n, k]: readonly [number, number, number],
  transposeA: boolean,
  transposeB: boolean,
): void {
  const size = util.sizeFromShape([...batch])
  const sizeA = util.sizeFromShape([...left.batch])
  const sizeB = util.sizeFromShape([...right.batch])
  const { kernels } = heap
  const scratch = heap.scratch(kernels.matMulScratch(n, k))
  // one B for all: the batch is only more rows
  if (sizeB === 1 && sizeA === size && !transposeA) {
    kernels.matMul(left.address, right.address, out, scratch, 1, 0, 0, m * size, n, k, transposeA, transposeB)
    return
  }
  if ((sizeA === size || sizeA === 1) && (sizeB === size || sizeB === 1)) {
    const stepA = sizeA === 1 ? 0 : left.bytes
    const stepB = sizeB === 1 ? 0 : right.bytes
    kernels.matMul(left.address, right.address, out, scratch, size, stepA, stepB, m, n, k, transposeA, transposeB)
    return
  }
  for (let i = 0; i < size; i++) {
    const a = left.address + left.bytes * broadcastIndex(i, batch, left.batch)
    const b = right.address + right.bytes * broadcastIndex(i, batch, right.batch)
    kernels.matMul(a, b, out + 4 * m * n * i, scratch, 1, 0, 0, m, n, k, transposeA, transposeB)
  }
}

/** Where entry `i` of a batch of shape `full` lies in one of shape `own`, whose axes of size 1 repeat. */
function broadcastIndex(i: number, full: readonly number[], own: readonly number[]): number {
  let index = 0
  let stride = 1
  for (let axis = 1; axis <= own.length; axis++) {
    const size = own.at(-axis) as number
    const extent = full.at(-axis) as number
    if (size !== 1) index += stride * (i % extent)
    stride *= size
    i = Math.floor(i / extent)
  }
  return index
}

/**
 * The kernel for a backend that may have threads of its own: with several, tfjs shares a single large product out
 * between them and is left to it.
 */
export function matMulBeside(original: KernelFunc, threads: number): KernelFunc {
  if (threads <= 2) return matMul
  return (call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo }
    const { transposeA, transposeB } = call.attrs as unknown as { transposeA: boolean; transposeB: boolean }
    const single = util.sizeFromShape(a.shape) === util.sizeFromShape(a.shape.slice(-2))
    const flops = 2 * util.sizeFromShape(a.shape) * (b.shape.at(-1) as number)
    const rows = a.shape.at(-2) as number
    return !transposeA && !transposeB && single && b.shape.length === a.shape.length && rows > 16 && flops > 1e7
      ? original(call)
      : matMul(call)
  }
}
