import {
  convolvedQkv,
  dims,
  emptyTails,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type QkvTails,
  RMSNorm,
  type Rng,
  rowByRow,
  type SequenceMixer,
  ShortConv,
  silu,
  startBias,
  unitLength,
  wholeNumber,
} from '@mneme/core-tensor'
import { mul, neg, sigmoid, softplus, type Tensor, type Variable, zerosLike } from '@tensorflow/tfjs-core'
import { joinHeads, mergeRows, partRows, splitHeads } from './heads.js'
import { type FastMemoryOptions, type FastWeights, MemoryNet, startOf } from './memory-net.js'
import { type FastState, storeAndRead } from './surprise.js'

export interface NeuralMemoryOptions extends FastMemoryOptions {
  readonly lossReduction: 'sum' | 'mean'
  /** Tokens whose gradients are taken at the same weights; 1 is the exact recurrence. */
  readonly chunk: number
  readonly convWidth: number
  readonly normEps: number
}

/** Weights and tails of `[B, H, ...]`. */
export type NeuralMemoryState = FastState & QkvTails<Tensor>

/** Initial bias of the decay gate: about 50 tokens until half is forgotten. */
const DECAY_BIAS = -4.2

/**
 * Long-term memory that learns while it reads: a small network whose weights are the state, moved at every token by the
 * gradient of how badly it recalls that token's value.
 *
 *   S_t = η_t S_{t-1} − θ_t ∇‖M_c(k_t) − v_t‖²,   M_t = (1 − α_t) M_{t-1} + S_t,   y_t = W_o(norm(M_t(q_t)) ⊙ silu(W_g x_t))
 *   α_t, η_t = sigmoid(W x_t + b),   θ_t = maxLr · sigmoid(W x_t + b)   for each head
 *
 * q, k, v are projected, pass SiLU and a short convolution; q and k have length 1. M_c are the weights at the start of
 * the chunk. State: weights, momentum and, inside a chunk, M_c, `[B, H, ...]`, and three convolution tails, constant in
 * T. Time O(T H (E K + C K)), K the head width, E the inner width, C the chunk; decoding about four forwards of M.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, sections 3.1 to 3.3.
 * Differs: the paper's readout has a norm and a gate of unnamed kind: RMSNorm by head and SiLU here. The decay gate
 * starts nearly shut.
 */
export class NeuralMemory extends Module implements SequenceMixer<NeuralMemoryState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly qConv: ShortConv
  readonly kConv: ShortConv
  readonly vConv: ShortConv
  readonly stepGate: Linear
  readonly decayGate: Linear
  readonly momentumGate: Linear | null
  /** Weights of the inner network before the first token, `[H, ...]` each. */
  readonly initialWeights: Variable[]
  readonly readNorm: RMSNorm
  readonly gProj: Linear
  readonly oProj: Linear
  private readonly net: MemoryNet

  constructor(
    private readonly options: NeuralMemoryOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, convWidth, innerNorm, chunk } = options
    wholeNumber('NeuralMemory chunk', chunk, 'tokens')
    this.net = new MemoryNet({ ...options, width: dHead, normed: innerNorm })
    const width = nHeads * dHead
    const projection = (): Linear => new Linear(dModel, width, rng, { bias: false })
    this.qProj = projection()
    this.kProj = projection()
    this.vProj = projection()
    this.qConv = new ShortConv(width, convWidth, rng)
    this.kConv = new ShortConv(width, convWidth, rng)
    this.vConv = new ShortConv(width, convWidth, rng)
    this.stepGate = new Linear(dModel, nHeads, rng)
    this.decayGate = new Linear(dModel, nHeads, rng)
    startBias(this.decayGate, () => DECAY_BIAS)
    this.momentumGate = options.momentum ? new Linear(dModel, nHeads, rng) : null
    const drawn = this.net.draw(nHeads, rng)
    // what nothing was stored in recalls nothing; under a norm, nothing would be magnified without bound
    if (!innerNorm) {
      const last = drawn.pop() as Tensor
      drawn.push(zerosLike(last))
      last.dispose()
    }
    this.initialWeights = drawn.map((weight) => parameter(weight))
    this.readNorm = new RMSNorm(dHead, options.normEps)
    this.gProj = projection()
    this.oProj = new Linear(width, dModel, rng, { bias: false })
  }

  initialState(batch: number): NeuralMemoryState {
    const start = startOf(this.initialWeights, this.options.momentum, batch)
    return { ...start, point: null, filled: 0, ...emptyTails(this, batch) }
  }

  forward(x: Tensor, state?: NeuralMemoryState, pass?: Pass): Mixed<NeuralMemoryState> {
    const { nHeads } = this.options
    const heads = (projected: Tensor): Tensor => splitHeads(projected, nHeads)
    const { B } = dims('NeuralMemory.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const { qTail, kTail, vTail, ...before } = state ?? this.initialState(B)
    const active = (map: Linear): Tensor => silu(map.forward(x))
    const projected = { q: active(this.qProj), k: active(this.kProj), v: active(this.vProj) }
    const { q, k, v, tails } = convolvedQkv(this, projected, { qTail, kTail, vTail })
    const tokens = {
      q: unitLength(heads(q)),
      k: unitLength(heads(k)),
      v: heads(v),
      step: mul(sigmoid(heads(this.stepGate.forward(x))), this.options.maxLr),
      logDecay: neg(softplus(heads(this.decayGate.forward(x)))),
      logMomentum: this.momentumGate && neg(softplus(neg(heads(this.momentumGate.forward(x))))),
    }
    const { read, loss, state: after } = storeAndRead(this.net, mergeRows(before), tokens, this.options.chunk)
    const told = { surprise: loss, stepSize: tokens.step, logDecay: tokens.logDecay, read }
    for (const [name, folded] of Object.entries(told)) pass?.record?.record(name, joinHeads(folded, nHeads))
    return {
      y: this.readout(read, x),
      state: { ...partRows(after, nHeads), ...tails },
    }
  }

  /**
   * Reads without storing: what weights `[B, H, ...]` recall at every x `[B, T, D]`. The tail of the query convolution is
   * the caller's, since these queries are another sequence than the one that is stored.
   */
  recall(x: Tensor, weights: FastWeights, tail: Tensor): { readonly y: Tensor; readonly tail: Tensor } {
    const q = this.qConv.forward(silu(this.qProj.forward(x)), tail)
    const read = this.net.forward(mergeRows(weights), unitLength(splitHeads(q.y, this.options.nHeads)))
    return { y: this.readout(read, x), tail: q.tail }
  }

  /** `[B H, T, K]` to `[B, T, D]`. */
  private readout(read: Tensor, x: Tensor): Tensor {
    const normed = joinHeads(this.readNorm.forward(read), this.options.nHeads)
    return this.oProj.forward(mul(normed, silu(this.gProj.forward(x))))
  }

  /** Bytes of one set of weights of a row. */
  get weightBytes(): number {
    return 4 * this.options.nHeads * this.net.size
  }

  /** Bytes of one convolution tail of a row. */
  get tailBytes(): number {
    return 4 * (this.options.convWidth - 1) * this.options.nHeads * this.options.dHead
  }

  stateBytes(length: number): number {
    const copies = 1 + (this.options.momentum ? 1 : 0) + (length % this.options.chunk === 0 ? 0 : 1)
    return copies * this.weightBytes + 3 * this.tailBytes
  }
}
