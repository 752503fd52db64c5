import {
  add,
  cast,
  concat,
  greater,
  maximum,
  mul,
  pad,
  reshape,
  type Tensor,
  transpose,
  zeros,
} from '@tensorflow/tfjs-core'
import { chunked, halves } from './chunks.js'

/** e^x is 0 in float32 from here on, so nothing is lost, and sums of such decays keep their digits. */
const GONE = -104
/** No sum of decays gets past a reset. */
const RESET = -1000

/**
 * Log-decays of the state at each token, `shape` = `[B, T, H, K]`: those of its `resets`, which come first, and with
 * those of its decay.
 */
export function logDecays(
  logDecay: Tensor | undefined,
  resets: Tensor | undefined,
  shape: readonly [number, number, number, number],
): { resets: Tensor; total: Tensor } {
  const none = zeros([...shape])
  const atResets =
    resets === undefined
      ? none
      : add(reshape(mul(cast(greater(resets, 0.5), 'float32'), RESET), [shape[0], shape[1], 1, 1]), none)
  const total = logDecay === undefined ? atResets : add(maximum(logDecay, GONE), atResets)
  return { resets: atResets, total }
}

/**
 * Sums of log-decays in P blocks of s tokens. Blocks are joined two by two, and decays between two tokens are summed
 * from the border between their blocks, to either side: no exponent is positive, and no small sum is the difference of
 * large ones.
 */
export interface BlockDecays {
  /** Over the whole block, `[P, 1, K]`. */
  readonly across: Tensor
  /** From its start to the reading of each token, `[P, s, K]`. */
  readonly fromStart: Tensor
  /** From after each token to its end, `[P, s, K]`. */
  readonly toEnd: Tensor
}

/** Every token of n chunks of C is a block: log-decays of the state there, and of its reading, `[B, T, H, K]`. */
export function tokenDecays(total: Tensor, read: Tensor, n: number, C: number): BlockDecays {
  const blocks = (x: Tensor): Tensor => reshape(chunked(x, n, C), [-1, 1, x.shape[3] as number])
  const across = blocks(total)
  return { across, fromStart: blocks(read), toEnd: zeros(across.shape) }
}

/** Blocks joined into P of 2 s tokens; decays from a token of the first half to one of the second are `before after`. */
export function joined(
  { across, fromStart, toEnd }: BlockDecays,
  P: number,
  s: number,
): { before: Tensor; after: Tensor; blocks: BlockDecays } {
  const [startBefore, after] = halves(fromStart, P, s)
  const [before, endAfter] = halves(toEnd, P, s)
  const [first, second] = halves(across, P, 1)
  const blocks = {
    across: add(first, second),
    fromStart: concat([startBefore, add(after, first)], 1),
    toEnd: concat([add(before, second), endAfter], 1),
  }
  return { before, after, blocks }
}

/** Squares of s rows each, joined into P of 2 s: what the second half has of the first stands below, zeros above. */
export function joinedSquares(squares: Tensor, below: Tensor, P: number, s: number): Tensor {
  const [first, second] = halves(squares, P, s)
  const right = pad(first, [
    [0, 0],
    [0, 0],
    [0, s],
  ])
  return concat([right, concat([below, second], 2)], 1)
}

/** Chunks of C tokens, for one decay a token: sums of log-decays from token j to i in row i, `[chunks, C, C]`. */
export function pairSums(tokens: BlockDecays, C: number): { pairs: Tensor; decays: BlockDecays } {
  const count = tokens.across.shape[0] as number
  let [pairs, decays]: [Tensor, BlockDecays] = [zeros([count, 1, 1]), tokens]
  for (let s = 1; s < C; s *= 2) {
    const P = count / (2 * s)
    const { before, after, blocks } = joined(decays, P, s)
    pairs = joinedSquares(pairs, add(after, transpose(before, [0, 2, 1])), P, s)
    decays = blocks
  }
  return { pairs, decays }
}
