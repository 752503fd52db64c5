import { gather, type Tensor, type Tensor1D, unsortedSegmentSum } from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'

interface Inputs {
  readonly table: Tensor
  /** int32, each in [0, V). */
  readonly ids: Tensor
}

/**
 * Rows of a table: `y_n = table[ids_n]`. table `[V, D]`, ids int32 `[N]`, y `[N, D]`; the gradient adds up the rows of
 * equal ids. Time O(N D).
 */
export const embedding = defineOp<Inputs, object, { readonly y: Tensor }>({
  name: 'embedding',
  inputs: { table: 'V D', ids: 'N' },
  outputs: { y: 'N D' },
  keepOutputs: false,
  attrs: {},
  reference: ({ table, ids }) => ({ y: gather(table, ids) }),
  gradient: ({ y: dy }, { table, ids }) => ({
    table: unsortedSegmentSum(dy, ids as Tensor1D, table.shape[0] as number),
  }),
})

/** What the laws, the self-test and the bench go by. */
export const embeddingSheet: OpSheet<Inputs, object> = {
  equation: 'y_n = E_{i_n}',
  draw: { ids: 'ids' },
  cost: ({ N = 1, D = 1 }) => ({ flops: 0, bytes: 8 * N * D, passes: 1 }),
  examples: [{ dims: { V: 3, D: 5, N: 1 } }, { dims: { V: 7, D: 4, N: 65 } }, { dims: { V: 96, D: 64, N: 1024 } }],
}
