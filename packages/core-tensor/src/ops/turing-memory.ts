import {
  add,
  concat,
  div,
  expandDims,
  matMul,
  mul,
  ones,
  pow,
  reshape,
  sigmoid,
  slice,
  softmax,
  softplus,
  split,
  sqrt,
  square,
  squeeze,
  stack,
  sub,
  sum,
  type Tensor,
  tanh,
  unstack,
  zeros,
} from '@tensorflow/tfjs-core'
import { defineOp, differentiated, type OpSheet } from '../op.js'
import { flags } from './along-time.js'

interface Inputs {
  /** What the token gives to both heads. */
  readonly projected: Tensor
  /** What the last read gives to them: `[P, C]`. */
  readonly weight: Tensor
  readonly memory: Tensor
  readonly read: Tensor
  /** Where each head looked last: the reader, then the writer. */
  readonly readWeights: Tensor
  readonly writeWeights: Tensor
  /** 1 where a token starts from empty memory. */
  readonly resets?: Tensor
  /** 0 at padding, which neither reads nor writes. */
  readonly mask?: Tensor
}

interface Outputs {
  readonly reads: Tensor
  readonly memoryAfter: Tensor
  readonly readWeightsAfter: Tensor
  readonly writeWeightsAfter: Tensor
}

interface Attrs {
  /** By content alone, or moved on from where the head looked last. */
  readonly addressing: 'content' | 'full'
}

const EPS = 1e-8

/** Numbers of the reader: key C, strength, gate, shifts, sharpness. The writer has those, then erase C and add C. */
const readerWidth = (C: number): number => C + 6
/** Width of all that the heads of a Turing memory are told for one token. */
export const turingHeadsWidth = (C: number): number => 2 * readerWidth(C) + 2 * C

interface Head {
  readonly key: Tensor
  readonly strength: Tensor
  readonly gate: Tensor
  readonly shift: Tensor
  readonly sharpness: Tensor
}

function headOf(raw: Tensor, C: number): Head {
  const part = (from: number, size: number): Tensor => slice(raw, [0, from], [-1, size])
  return {
    key: tanh(part(0, C)),
    strength: softplus(part(C, 1)),
    gate: sigmoid(part(C + 1, 1)),
    shift: softmax(part(C + 2, 3)),
    sharpness: add(1, softplus(part(C + 5, 1))),
  }
}

/** Weights `[B, N]` of the rows of a memory. */
function address(head: Head, memory: Tensor, last: Tensor, addressing: Attrs['addressing']): Tensor {
  const dots = squeeze(matMul(memory, expandDims(head.key, 2)), [2])
  const lengths = sqrt(mul(add(sum(square(memory), 2), EPS), add(sum(square(head.key), 1, true), EPS)))
  const content = softmax(mul(head.strength, div(dots, lengths)))
  if (addressing === 'content') return content
  const gated = add(mul(head.gate, content), mul(sub(1, head.gate), last))
  const [back, stay, on] = split(head.shift, 3, 1) as [Tensor, Tensor, Tensor]
  const moved = add(mul(stay, gated), add(mul(back, turned(gated, 1)), mul(on, turned(gated, -1))))
  const sharp = pow(add(moved, EPS), head.sharpness)
  return div(sharp, sum(sharp, 1, true))
}

/** Row i gets what stood at i + by, round the end. */
function turned(weights: Tensor, by: 1 | -1): Tensor {
  const N = weights.shape[1] as number
  const at = by === 1 ? 1 : N - 1
  return concat([slice(weights, [0, at], [-1, N - at]), slice(weights, [0, 0], [-1, at])], 1)
}

function reference(inputs: Inputs, { addressing }: Attrs): Outputs {
  const { projected, weight, resets, mask } = inputs
  const [B, N, C] = inputs.memory.shape as [number, number, number]
  // an empty memory, nothing read, and both heads at the first row
  const first = concat([ones([1]), zeros([N - 1])])
  const empty = [null, null, first, first] as const
  const starts = resets && unstack(flags(resets), 1)
  const present = mask && unstack(flags(mask), 1)
  const reads: Tensor[] = []
  let current: readonly Tensor[] = [inputs.memory, inputs.read, inputs.readWeights, inputs.writeWeights]
  for (const [t, token] of unstack(projected, 1).entries()) {
    const flag = starts?.[t]
    const at = (x: Tensor, rank: number): Tensor => reshape(x, [B, ...Array<number>(rank - 1).fill(1)])
    const before = flag
      ? current.map((part, i) => {
          const kept = mul(part, sub(1, at(flag, part.rank)))
          const fresh = empty[i]
          return fresh ? add(kept, mul(at(flag, part.rank), fresh)) : kept
        })
      : current
    const [memory, read, readWeights, writeWeights] = before as [Tensor, Tensor, Tensor, Tensor]
    const raw = add(token, matMul(read as never, weight as never, false, true))
    const width = readerWidth(C)
    const w = address(headOf(slice(raw, [0, 0], [-1, width]), C), memory, readWeights, addressing)
    const found = squeeze(matMul(expandDims(w, 1), memory), [1])
    const written = slice(raw, [0, width], [-1, -1])
    const v = address(headOf(written, C), memory, writeWeights, addressing)
    const erase = sigmoid(slice(written, [0, width], [-1, C]))
    const news = tanh(slice(written, [0, width + C], [-1, C]))
    const place = expandDims(v, 2)
    const kept = mul(memory, sub(1, mul(place, expandDims(erase, 1))))
    const after = [add(kept, mul(place, expandDims(news, 1))), found, w, v]
    const there = present?.[t]
    current = there
      ? after.map((part, i) => {
          const open = at(there, part.rank)
          return add(mul(part, open), mul(before[i] as Tensor, sub(1, open)))
        })
      : after
    reads.push(current[1] as Tensor)
  }
  return {
    reads: stack(reads, 1),
    memoryAfter: current[0] as Tensor,
    readWeightsAfter: current[2] as Tensor,
    writeWeightsAfter: current[3] as Tensor,
  }
}

/**
 * A memory matrix that a head reads and another writes at every token, each at rows that its key is like.
 *
 *   w = softmax_i(β cos(k, M_i)),   r_t = wᵀ M_{t-1},   M_t = M_{t-1} ⊙ (1 − v eᵀ) + v aᵀ
 *
 * projected x `[B, T, P]` and weight W `[P, C]` give both heads W r_{t-1} + x_t, P = 4 C + 12: reader and writer each a key C,
 * strength β, gate, three shifts and sharpness; the writer then erase e and add a. With `full` addressing weights are
 * mixed with the last ones by the gate, shifted by −1, 0 or 1 rows and sharpened. memory `[B, N, C]`, read `[B, C]`, weights
 * `[B, N]`; resets and mask `[B, T]`. Returns reads r `[B, T, C]` and memory and weights after the last token. Time
 * O(B T N C), token after token; state N C + C + 2 N. Source: Graves et al. 2014, arXiv:1410.5401, section 3.
 */
export const turingMemory = defineOp<Inputs, Attrs, Outputs>({
  name: 'turingMemory',
  inputs: {
    projected: 'B T P',
    weight: 'P C',
    memory: 'B N C',
    read: 'B C',
    readWeights: 'B N',
    writeWeights: 'B N',
    resets: '?B T',
    mask: '?B T',
  },
  outputs: { reads: 'B T C', memoryAfter: 'B N C', readWeightsAfter: 'B N', writeWeightsAfter: 'B N' },
  keepOutputs: false,
  attrs: { addressing: 'content' },
  reference,
  gradient: differentiated(reference),
})

/** What the laws, the self-test and the bench go by. */
export const turingMemorySheet: OpSheet<Inputs, Attrs> = {
  equation:
    'w = \\mathrm{softmax}_i(\\beta \\cos(k, M_i)), \\quad r_t = w^\\top M_{t-1}, \\quad M_t = M_{t-1} \\odot (1 - v e^\\top) + v a^\\top',
  draw: { resets: 'rare', mask: 'mask', readWeights: 'unit', writeWeights: 'unit' },
  cost: ({ B = 1, T = 1, N = 1, C = 1 }) => ({ flops: 12 * B * T * N * C, bytes: 8 * B * T * N * C, passes: T }),
  examples: [
    { dims: { B: 2, T: 1, P: 20, N: 4, C: 2 } },
    { dims: { B: 1, T: 3, P: 24, N: 5, C: 3 }, attrs: { addressing: 'full' }, omit: ['resets', 'mask'] },
    { dims: { B: 2, T: 5, P: 24, N: 6, C: 3 }, attrs: { addressing: 'full' } },
    { dims: { B: 4, T: 16, P: 92, N: 32, C: 20 }, omit: ['resets', 'mask'] },
  ],
}
