import {
  bySegments,
  constant,
  detach,
  dims,
  extended,
  HeadMaps,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  type Pass,
  parameter,
  pieceOf,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
  unitLength,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  exp,
  matMul,
  mul,
  reshape,
  slice,
  softmax,
  type Tensor,
  tensor2d,
  transpose,
  type Variable,
} from '@tensorflow/tfjs-core'
import { KnnMemory, type KnnState } from './knn-memory.js'

export interface KnnAttentionOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a segment; at its end keys that leave the window are stored. */
  readonly segment: number
  /** Keys of earlier segments that every query sees beside the stored ones. */
  readonly window: number
  readonly capacity: number
  readonly neighbours: number
  /** Initial temperature that cosines are multiplied by. */
  readonly temperature: number
  readonly projection?: LinearOptions
}

export interface KnnAttentionState {
  readonly [name: string]: State
  readonly stored: KnnState
  /** The window and the open segment, `[B, ·, K]`; null while empty. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
  /** Tokens of the open segment. */
  readonly filled: number
}

/**
 * Attention over a window and over the nearest neighbours in a store of everything before it, under one softmax.
 *
 *   s_j = e^{τ_h} cos(q, k_j),   o = softmax over [neighbours of q in the store | window and segment so far]
 *
 * One head of keys and values for H query heads, both of length 1; τ `[H]` learned. Gradients stop at the start of a
 * segment and at the store. State: at most C stored and W + L recent keys and values, constant in T. Time O(T C H K).
 * Paper: Wu et al. 2022, arXiv:2203.08913, section 3.
 * Differs: stored and recent keys share one softmax, as in the common port; the paper gates two.
 */
export class KnnAttention extends HeadMaps implements SequenceMixer<KnnAttentionState> {
  readonly traits: MixerTraits
  /** τ */
  readonly logTemperature: Variable
  private readonly memory: KnnMemory

  constructor(
    private readonly options: KnnAttentionOptions,
    rng: Rng,
  ) {
    super('KnnAttention', { ...options, nKvHeads: 1 }, rng)
    const { nHeads: H, segment, temperature } = options
    wholeNumber('KnnAttention segment', segment, 'tokens')
    this.traits = { causal: true, padding: true, constantState: true, backprop: segment }
    this.memory = new KnnMemory(options)
    this.logTemperature = parameter(constant([H], Math.log(temperature)))
  }

  initialState(): KnnAttentionState {
    return { stored: this.memory.initialState(), keys: null, values: null, filled: 0 }
  }

  forward(x: Tensor, state?: KnnAttentionState, pass?: Pass): Mixed<KnnAttentionState> {
    const { dModel, segment } = this.options
    const { T } = dims('KnnAttention.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    // [B, H T, K]: queries of all heads ask the one head of keys
    const q = transpose(unitLength(this.heads(this.qProj, x)), [0, 2, 1, 3])
    const [k, v] = [unitLength(this.kProj.forward(x)), this.vProj.forward(x)]
    const left = ({ filled }: KnnAttentionState): number => segment - filled
    const start = state ?? this.initialState()
    const { y, state: after } = bySegments<KnnAttentionState>(T, start, left, (tokens, before) => {
      const open = {
        ...before,
        keys: extended(before.keys, pieceOf(k, tokens, 1)),
        values: extended(before.values, pieceOf(v, tokens, 1)),
        filled: before.filled + tokens.size,
      }
      return { y: this.attend(pieceOf(q, tokens, 2), open), state: open.filled === segment ? this.closed(open) : open }
    })
    return { y: this.fromHeads(y), state: after }
  }

  /** Queries `[B, H, T, K]` of the newest tokens to `[B, T, H, K]`. */
  private attend(q: Tensor, { stored, keys, values }: Open): Tensor {
    const [B, H, T, K] = q.shape as [number, number, number, number]
    const J = keys.shape[1] as number
    const temperature = reshape(exp(this.logTemperature), [1, H, 1, 1])
    const asked = reshape(q, [B, H * T, K])
    const recent = reshape(matMul(asked, keys, false, true), [B, H, T, J])
    const local = add(mul(recent, temperature), future(T, J))
    const found = this.memory.nearest(stored, asked)
    if (found === null) return tokensFirst(matMul(reshape(softmax(local), [B, H * T, J]), values), [B, H, T, K])
    const n = found.keys.shape[2] as number
    const cosines = matMul(found.keys, reshape(asked, [B, H * T, K, 1]))
    const scores = concat([mul(reshape(cosines, [B, H, T, n]), temperature), local], 3)
    const weights = reshape(softmax(scores), [B, H * T, n + J])
    const far = matMul(reshape(slice(weights, [0, 0, 0], [-1, -1, n]), [B, H * T, 1, n]), found.values)
    const near = matMul(slice(weights, [0, 0, n], [-1, -1, J]), values)
    return tokensFirst(add(near, reshape(far, [B, H * T, K])), [B, H, T, K])
  }

  /** Ends the segment: what the window does not hold goes to the store. */
  private closed({ stored, keys, values }: Open): KnnAttentionState {
    const [B, J, K] = keys.shape as [number, number, number]
    const { window } = this.options
    const leaving = Math.max(J - window, 0)
    const part = (x: Tensor, from: number, size: number): Tensor => slice(x, [0, from, 0], [B, size, K])
    const recent = (x: Tensor): Tensor | null => (J === leaving ? null : detach(part(x, leaving, J - leaving)))
    return {
      stored:
        leaving === 0
          ? stored
          : this.memory.write(stored, { keys: part(keys, 0, leaving), values: part(values, 0, leaving) }),
      keys: recent(keys),
      values: recent(values),
      filled: 0,
    }
  }

  stateBytes(length: number): number {
    const { dHead: K, segment, window } = this.options
    const closed = length - (length % segment)
    const recent = Math.min(closed, window) + (length % segment)
    return 8 * recent * K + this.memory.stateBytes(Math.max(closed - window, 0), K, K)
  }
}

type Open = Omit<KnnAttentionState, 'keys' | 'values'> & {
  readonly stored: KnnState
  readonly keys: Tensor
  readonly values: Tensor
}

/** Added to the scores of the newest T of J keys: those after a query do not count. `[T, J]` */
function future(T: number, J: number): Tensor {
  const values = Float32Array.from({ length: T * J }, (_, i) => ((i % J) - (J - T) > Math.floor(i / J) ? -1e9 : 0))
  return tensor2d(values, [T, J])
}

/** `[B, H T, K]` to `[B, T, H, K]`. */
function tokensFirst(x: Tensor, [B, H, T, K]: readonly [number, number, number, number]): Tensor {
  return transpose(reshape(x, [B, H, T, K]), [0, 2, 1, 3])
}
