import {
  bySegments,
  dims,
  extended,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  pieceOf,
  RMSNorm,
  type Rng,
  Rotary,
  rowByRow,
  type SequenceMixer,
  softmaxAttention,
  wholeNumber,
} from '@mneme/core-tensor'
import { concat, mul, reshape, sigmoid, stack, type Tensor, tensor4d, tile, type Variable } from '@tensorflow/tfjs-core'
import type { FastWeights } from './memory-net.js'
import type { NeuralMemory, NeuralMemoryState } from './neural-memory.js'

export interface MemoryAsContextOptions {
  readonly dModel: number
  /** Heads of the attention, and their width. */
  readonly nHeads: number
  readonly dHead: number
  /** Tokens of a segment, within which attention sees. */
  readonly segment: number
  /** Learned tokens that every query sees. */
  readonly persistent: number
  readonly ropeBase: number
  readonly normEps: number
}

export type MemoryAsContextState = {
  readonly memory: NeuralMemoryState
  /** Tail of the query convolution over the inputs, which the memory's own queries are not. */
  readonly recallTail: Tensor
  /** Weights of the memory at the start of the open segment, `[B, H, ...]`; null when none is open. */
  readonly recalled: FastWeights | null
  /** Of what was recalled for each token of the open segment, and of the token, in turn: `[B, 2f, H, K]`; null when f is 0. */
  readonly keys: Tensor | null
  readonly values: Tensor | null
  /** Tokens of the open segment so far, f. */
  readonly filled: number
}

/** Keeps a key out of a softmax. */
const MASKED = -1e30

/**
 * Attention over a segment with a long-term memory in its context (MAC): before it attends, a segment asks the memory
 * what it recalls; after, what attention gave is stored, and gated by what the memory then recalls of that.
 *
 *   h_j = M_s(x_j),   y_i = Attn(x_i; P, {h_j, x_j : j ≤ i}),   M_i = store(M_{i-1}, y_i),   o_i = norm(y_i) ⊙ sigmoid(norm(M_i(y_i)))
 *
 * M_s is the memory at the start of the segment, P are persistent tokens `[P, D]`. State: that of the memory, and while
 * a segment is open M_s and its keys and values; bounded. Time O(T S H K) for the attention over segments of S.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, sections 3.3 and 4.1.
 * Differs: made causal. As drawn, all of h is visible to all of a segment, and outputs read the memory after the whole
 * segment was stored; here h_j is visible from token j on, and output i reads the memory after token i. Norms and sigmoid
 * of the gate are those that the paper names for its gated variant. Positions, of which the paper says nothing, are
 * rotary inside a segment, h_j at the place of x_j, P unturned.
 */
export class MemoryAsContext extends Module implements SequenceMixer<MemoryAsContextState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly persistent: Variable | null
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly oProj: Linear
  readonly attentionNorm: RMSNorm
  readonly memoryNorm: RMSNorm
  private readonly rotary: Rotary

  constructor(
    readonly memory: NeuralMemory,
    private readonly options: MemoryAsContextOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, segment, persistent, ropeBase, normEps } = options
    wholeNumber('MemoryAsContext segment', segment, 'tokens')
    const projection = (): Linear => new Linear(dModel, nHeads * dHead, rng, { bias: false })
    this.persistent = persistent > 0 ? parameter(normal(rng, [persistent, dModel], 1)) : null
    this.qProj = projection()
    this.kProj = projection()
    this.vProj = projection()
    this.oProj = new Linear(nHeads * dHead, dModel, rng, { bias: false })
    this.attentionNorm = new RMSNorm(dModel, normEps)
    this.memoryNorm = new RMSNorm(dModel, normEps)
    this.rotary = new Rotary({ dims: dHead, base: ropeBase })
  }

  initialState(batch: number): MemoryAsContextState {
    const recallTail = this.memory.qConv.initialState(batch)
    return {
      memory: this.memory.initialState(batch),
      recallTail,
      recalled: null,
      keys: null,
      values: null,
      filled: 0,
    }
  }

  forward(x: Tensor, state?: MemoryAsContextState, pass?: Pass): Mixed<MemoryAsContextState> {
    const { dModel, segment } = this.options
    const { B, T } = dims('MemoryAsContext.forward x', x, 'B T D', { D: dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const left = ({ filled }: MemoryAsContextState): number => segment - filled
    return bySegments(T, state ?? this.initialState(B), left, (tokens, before) => {
      const { y, state: after } = this.inSegment(pieceOf(x, tokens, 1), before, pass)
      const closed = { ...after, recalled: null, keys: null, values: null, filled: 0 }
      return { y, state: after.filled === segment ? closed : after }
    })
  }

  /** Tokens of one segment: those that are left of it, or fewer. */
  private inSegment(x: Tensor, state: MemoryAsContextState, pass: Pass | undefined): Mixed<MemoryAsContextState> {
    const { nHeads, dHead } = this.options
    const [B, T, D] = x.shape as [number, number, number]
    const recalled = state.recalled ?? state.memory.weights
    const { y: h, tail: recallTail } = this.memory.recall(x, recalled, state.recallTail)
    const context = reshape(stack([h, x], 2), [B, 2 * T, D]) // h_1, x_1, h_2, x_2, ...
    // both of a pair stand at one position: turn them as heads of one token
    const turned = this.rotary.forward(reshape(this.kProj.forward(context), [B, T, 2 * nHeads, dHead]), state.filled)
    const keys = extended(state.keys, reshape(turned, [B, 2 * T, nHeads, dHead]))
    const values = extended(state.values, reshape(this.vProj.forward(context), [B, 2 * T, nHeads, dHead]))
    const q = this.rotary.forward(reshape(this.qProj.forward(x), [B, T, nHeads, dHead]), state.filled)
    const { o } = softmaxAttention(
      {
        q,
        k: this.withPersistent(keys, this.kProj),
        v: this.withPersistent(values, this.vProj),
        bias: this.visible(state.filled, T),
      },
      { causal: false },
    )
    const attended = this.oProj.forward(reshape(o, [B, T, nHeads * dHead]))
    const memory = this.memory.forward(attended, state.memory, pass)
    const gate = sigmoid(this.memoryNorm.forward(memory.y))
    pass?.record?.record('recalled', h)
    pass?.record?.record('gate', gate)
    return {
      y: mul(this.attentionNorm.forward(attended), gate),
      state: { memory: memory.state, recallTail, recalled, keys, values, filled: state.filled + T },
    }
  }

  /** Keys or values `[B, S, H, K]` with those of the persistent tokens in front. */
  private withPersistent(x: Tensor, projection: Linear): Tensor {
    if (this.persistent === null) return x
    const [B, , H, K] = x.shape as [number, number, number, number]
    const own = reshape(projection.forward(this.persistent), [1, -1, H, K])
    return concat([tile(own, [B, 1, 1, 1]), x], 1)
  }

  /** 0 where a query may look: at persistent tokens, and pairs up to its own. `[1, H, T, S]` */
  private visible(filled: number, T: number): Tensor {
    const { nHeads, persistent } = this.options
    const S = persistent + 2 * (filled + T)
    const open = Float32Array.from({ length: T * S }, (_, n) => {
      const pair = Math.floor(((n % S) - persistent) / 2)
      return pair <= filled + Math.floor(n / S) ? 0 : MASKED
    })
    return tile(tensor4d(open, [1, 1, T, S]), [1, nHeads, 1, 1])
  }

  stateBytes(length: number): number {
    const { nHeads, dHead, segment } = this.options
    const filled = length % segment
    const open = filled === 0 ? 0 : this.memory.weightBytes + 2 * 4 * 2 * filled * nHeads * dHead
    return this.memory.stateBytes(length) + this.memory.tailBytes + open
  }
}
