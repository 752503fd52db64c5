import {
  add,
  cast,
  exp,
  expandDims,
  fill,
  gather,
  greaterEqual,
  less,
  log,
  logicalAnd,
  matMul,
  max,
  maximum,
  mul,
  neg,
  reshape,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  tidy,
  unsortedSegmentSum,
  where,
} from '@tensorflow/tfjs-core'
import { defineOp, type OpSheet } from '../op.js'
import { stopGradient } from '../state.js'
import { assembled, joined, pieceOf, type Span, Sums, spans } from './blocks.js'

interface Inputs {
  readonly hidden: Tensor
  readonly weight: Tensor
  readonly bias?: Tensor
  /** int32, each in [0, V); mask out what is not to count after the call. */
  readonly targets: Tensor
}

interface Attrs {
  /** Tokens, and words of the vocabulary, whose logits stand at one time. Change cost, not results. */
  readonly tokens: number
  readonly words: number
}

interface Outputs {
  readonly nll: Tensor
  /** Logarithm of the sum of exponentials, `[N]`. */
  readonly lse: Tensor
}

/** Below any logit; its exponential is 0. */
const LOWEST = -1e30

function logitsOf(hidden: Tensor, { weight, bias }: Inputs, words: Span): Tensor {
  const logits = matMul(hidden, pieceOf(weight, words, 0), false, true)
  return bias ? add(logits, pieceOf(bias, words, 0)) : logits
}

function reference(inputs: Inputs, { tokens, words }: Attrs): Outputs {
  const { hidden, weight, bias, targets } = inputs
  const [N, V] = [hidden.shape[0] as number, weight.shape[0] as number]
  const sums = spans(N, tokens).map((rows) => tidy(() => logSum(inputs, rows, spans(V, words))))
  const lse = joined(sums, 0)
  const chosen = sum(mul(hidden, gather(weight, targets)), 1)
  return { nll: sub(lse, bias ? add(chosen, gather(bias, targets)) : chosen), lse }
}

/** `[n]`, by a running maximum and the sum below it. */
function logSum(inputs: Inputs, rows: Span, vocabulary: readonly Span[]): Tensor {
  const hidden = pieceOf(inputs.hidden, rows, 0)
  let running = { top: fill([rows.size, 1], LOWEST), total: fill([rows.size, 1], 0) }
  for (const words of vocabulary) {
    const before = running
    running = tidy(() => {
      const logits = logitsOf(hidden, inputs, words)
      const top = stopGradient(maximum(before.top, max(logits, 1, true)))
      const kept = mul(before.total, exp(sub(before.top, top)))
      return { top, total: add(kept, sum(exp(sub(logits, top)), 1, true)) }
    })
    before.top.dispose()
    before.total.dispose()
  }
  return reshape(add(running.top, log(running.total)), [rows.size])
}

/**
 * Cross entropy of a linear map's outputs, without ever holding `[N, V]` logits: `nll_n = lse_n - (W h + b)_{n, y_n}`.
 *
 * hidden `[N, D]`, weight `[V, D]`, bias `[V]`, targets int32 `[N]`; nll and lse `[N]`. Blocks of logits are made twice,
 * in the forward and in the backward pass. Time O(N V D); memory, beside inputs and gradients, that of one block.
 * Source: Wijmans et al. 2024, arXiv:2411.09009, section 4.
 */
export const linearCrossEntropy = defineOp<Inputs, Attrs, Outputs>({
  name: 'linearCrossEntropy',
  inputs: { hidden: 'N D', weight: 'V D', bias: '?V', targets: 'N' },
  outputs: { nll: 'N', lse: 'N' },
  attrs: { tokens: 256, words: 4096 },
  reference,
  gradient(dys, inputs, { lse }, { tokens, words }) {
    const { hidden, weight, bias, targets } = inputs
    const [N, D] = hidden.shape as [number, number]
    const V = weight.shape[0] as number
    const [rowPieces, wordPieces] = [spans(N, tokens), spans(V, words)]
    const share = add(dys.nll, dys.lse) // what the sum of exponentials gets
    const sums = new Sums()
    for (const rows of rowPieces) {
      for (const piece of wordPieces) {
        sums.add(
          tidy(() => {
            const own = pieceOf(hidden, rows, 0)
            const column = (x: Tensor): Tensor => expandDims(pieceOf(x, rows, 0), 1)
            const dLogits = mul(exp(sub(logitsOf(own, inputs, piece), column(lse))), column(share))
            return {
              [`hidden ${rows.begin}`]: matMul(dLogits, pieceOf(weight, piece, 0)),
              [`weight ${piece.begin}`]: matMul(dLogits, own, true, false),
              ...(bias && { [`bias ${piece.begin}`]: sum(dLogits, 0) }),
            }
          }),
        )
      }
    }
    const all = (name: string, pieces: readonly Span[], shape: (size: number) => number[]): Tensor => {
      const parts = pieces.map(({ begin, size }) => sums.get(`${name} ${begin}`, shape(size)))
      return assembled(parts, (part) => reshape(part, part.shape), 0)
    }
    const toTarget = expandDims(neg(dys.nll), 1)
    // of each piece, the rows that are a target; the others gather in one row too many
    for (const { begin, size } of wordPieces) {
      sums.add(
        tidy(() => {
          const inside = logicalAnd(greaterEqual(targets, begin), less(targets, begin + size))
          const rows = cast(where(inside, sub(targets, begin), fill([N], size)), 'int32') as Tensor1D
          const byWord = (x: Tensor): Tensor => pieceOf(unsortedSegmentSum(x, rows, size + 1), { begin: 0, size }, 0)
          return {
            [`weight ${begin}`]: byWord(mul(toTarget, hidden)),
            ...(bias && { [`bias ${begin}`]: reshape(byWord(toTarget), [size]) }),
          }
        }),
      )
    }
    return {
      hidden: add(
        all('hidden', rowPieces, (n) => [n, D]),
        mul(toTarget, gather(weight, targets)),
      ),
      weight: all('weight', wordPieces, (n) => [n, D]),
      ...(bias && { bias: all('bias', wordPieces, (n) => [n]) }),
    }
  },
})

/** What the laws, the self-test and the bench go by. */
export const linearCrossEntropySheet: OpSheet<Inputs, Attrs> = {
  equation: '\\ell_n = \\log \\sum_v e^{w_v \\cdot h_n + b_v} - w_{y_n} \\cdot h_n - b_{y_n}',
  draw: { targets: 'ids' },
  cost: ({ N = 1, D = 1, V = 1 }) => ({ flops: 2 * N * V * D, bytes: 4 * (N * D + V * D), passes: 1 }),
  examples: [
    { dims: { N: 1, D: 2, V: 3 }, attrs: { words: 2 } },
    { dims: { N: 5, D: 3, V: 65 }, attrs: { tokens: 2, words: 16 } },
    { dims: { N: 65, D: 4, V: 7 }, attrs: { tokens: 64 }, omit: ['bias'] },
    { dims: { N: 300, D: 64, V: 1000 }, omit: ['bias'] },
  ],
}
