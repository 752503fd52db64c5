import {
  dims,
  extended,
  FLOAT_EPSILON,
  Linear,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  rowByRow,
  type SequenceMixer,
  timesOf,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  expandDims,
  mean,
  mul,
  neg,
  onesLike,
  pad,
  reshape,
  scalar,
  sigmoid,
  slice,
  sub,
  type Tensor,
  type Variable,
} from '@tensorflow/tfjs-core'
import { HeadNorm, joinHeads, mergeRows, partRows, splitHeads } from './heads.js'
import {
  type FastMemoryOptions,
  type FastWeights,
  flattened,
  limited,
  MemoryNet,
  startOf,
  unflattened,
} from './memory-net.js'
import { summed } from './surprise.js'

/** A single head is as wide as the model. */
export interface PooledNeuralMemoryOptions extends FastMemoryOptions {
  /** Tokens stored by one update. */
  readonly chunk: number
  /** Tokens after which gradients are taken at the latest weights, whole chunks; 0 for never: then at the initial ones. */
  readonly refresh: number
  /** Largest norm of the gradient of one weight tensor, approached by a tanh; 0 for no limit. */
  readonly maxGradNorm: number
  /** Whether queries and keys of each head are normed. */
  readonly qkNorm: boolean
  /** Whether what each head recalls is normed. */
  readonly readNorm: boolean
  /** Whether a refresh moves the weights only part of the way, by a learned share. */
  readonly transitionGate: boolean
  /** Whether gradients are taken at weights that the memory of an earlier layer adds to. */
  readonly weightResidual: boolean
}

/** Weights of `[B, H, ...]`. */
export type PooledNeuralMemoryState = {
  /** After the last whole chunk. */
  readonly weights: FastWeights
  readonly momentum: FastWeights | null
  /** Where gradients are taken since the last refresh; null right after one, or where there is none. */
  readonly point: FastWeights | null
  /** Inputs of the unfinished chunk, `[B, r, D]`; null when r is 0. */
  readonly pending: Tensor | null
  /** Tokens in whole chunks so far. */
  readonly stored: number
}

/** What a layer leaves for the next one in `Pass.shared`: the flat weights before and after each chunk, `[B H, n + 1, P]`. */
const VERSIONS = 'neuralMemoryVersions'

/** Initial value of the transition gate, before the sigmoid. */
const TRANSITION = -5

/**
 * Long-term memory that learns while it reads, one update a chunk: the steps of a chunk's tokens are summed, and one
 * momentum and one decay, from the mean of the chunk, apply to all of them.
 *
 *   S_j = η_j S_{j-1} − Σ_{i in j} θ_i ∇ℓ(M_p; k_i, v_i),   W_j = (1 − α_j) W_{j-1} + S_j,   y_t = W_{⌊(t+1)/C⌋}(q_t)
 *
 * t counts from 0, so that only the last token of a chunk sees what its own chunk stored. M_p are the initial weights, or
 * those of the last refresh. All chunks of a span between refreshes are one batch of matrix products and two linear
 * scans. State: weights, momentum, with refreshes M_p, `[B, H, ...]`, and the inputs of the unfinished chunk. Time
 * O(T H E K + (T / C) H P), K head width, E inner width, P weights of a head, all held for every chunk of a call.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, section 3, in the form of the titans-pytorch port.
 * Differs: from the paper, by the pooled gates, the delayed read and the missing convolutions; ℓ is a mean. From the
 * port, none in results; at a gated refresh, the token that completes it reads the moved weights in every form.
 */
export class PooledNeuralMemory extends Module implements SequenceMixer<PooledNeuralMemoryState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly storeNorm: RMSNorm
  readonly retrieveNorm: RMSNorm
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly qNorm: HeadNorm | null
  readonly kNorm: HeadNorm | null
  readonly readNorm: HeadNorm | null
  readonly stepGate: Linear
  readonly decayGate: Linear
  readonly momentumGate: Linear | null
  readonly mixGate: Linear | null
  readonly transition: Variable | null
  /** Weights of the inner network before the first token, `[H, ...]` each. */
  readonly initialWeights: Variable[]
  readonly readGate: Linear | null
  readonly oProj: Linear | null
  private readonly net: MemoryNet

  constructor(
    private readonly options: PooledNeuralMemoryOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, chunk, refresh, innerNorm, qkNorm } = options
    if (nHeads === 1 && dHead !== dModel) {
      throw new RangeError(
        `PooledNeuralMemory dHead: expected the model's width ${dModel} with a single head, got ${dHead}.`,
      )
    }
    timesOf('PooledNeuralMemory refresh', refresh, 'chunk', chunk)
    this.net = new MemoryNet({ ...options, width: dHead, normed: innerNorm, lossReduction: 'mean' })
    const gate = (): Linear => new Linear(dModel, nHeads, rng)
    const projection = (): Linear => new Linear(dModel, nHeads * dHead, rng, { bias: false })
    this.storeNorm = new RMSNorm(dModel, FLOAT_EPSILON)
    this.retrieveNorm = new RMSNorm(dModel, FLOAT_EPSILON)
    this.qProj = projection()
    this.kProj = projection()
    this.vProj = projection()
    this.qNorm = qkNorm ? new HeadNorm(nHeads, dHead) : null
    this.kNorm = qkNorm ? new HeadNorm(nHeads, dHead) : null
    this.readNorm = options.readNorm ? new HeadNorm(nHeads, dHead) : null
    this.stepGate = gate()
    this.decayGate = gate()
    this.momentumGate = options.momentum ? gate() : null
    this.mixGate = options.weightResidual ? gate() : null
    this.transition = options.transitionGate ? parameter(scalar(TRANSITION)) : null
    this.initialWeights = this.net.draw(nHeads, rng).map((weight) => parameter(weight))
    this.readGate = nHeads > 1 ? new Linear(dModel, nHeads, rng, { bias: false }) : null
    this.oProj = nHeads > 1 ? new Linear(nHeads * dHead, dModel, rng, { bias: false }) : null
  }

  initialState(batch: number): PooledNeuralMemoryState {
    const start = startOf(this.initialWeights, this.options.momentum, batch)
    return { ...start, point: null, pending: null, stored: 0 }
  }

  forward(x: Tensor, state?: PooledNeuralMemoryState, pass?: Pass): Mixed<PooledNeuralMemoryState> {
    const { B, T, D } = dims('PooledNeuralMemory.forward x', x, 'B T D', { D: this.options.dModel })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const inputs = extended(before.pending, x)
    const length = inputs.shape[1] as number
    const whole = length - (length % this.options.chunk)
    const { versions, ...after } =
      whole === 0
        ? { ...before, versions: expandDims(flattened(mergeRows(before.weights)), 1) }
        : this.store(slice(inputs, [0, 0, 0], [B, whole, D]), before, pass)
    pass?.shared?.set(VERSIONS, versions)
    return {
      y: this.retrieve(x, versions, length - T + 1),
      state: {
        ...after,
        pending: whole === length ? null : slice(inputs, [0, whole, 0], [B, length - whole, D]),
        stored: before.stored + whole,
      },
    }
  }

  /** Stores whole chunks x `[B, n C, D]`; the weights before and after each are `versions`, `[B H, n + 1, P]`. */
  private store(
    x: Tensor,
    before: PooledNeuralMemoryState,
    pass: Pass | undefined,
  ): Pick<PooledNeuralMemoryState, 'weights' | 'momentum' | 'point'> & { readonly versions: Tensor } {
    const { chunk, refresh } = this.options
    const [B, length, D] = x.shape as [number, number, number]
    const normed = this.storeNorm.forward(x)
    const earlier = (this.mixGate && pass?.shared?.get(VERSIONS)) ?? null
    const initial = refresh === 0 ? this.initialState(B).weights : before.weights
    let weights = flattened(mergeRows(before.weights)) // [B H, P]
    let momentum = before.momentum && flattened(mergeRows(before.momentum))
    let point = flattened(mergeRows(before.point ?? initial))
    const versions: Tensor[] = [expandDims(weights, 1)]
    let refreshed = false
    for (let t = 0; t < length; ) {
      const left = refresh === 0 ? length : refresh - ((before.stored + t) % refresh)
      const size = Math.min(length - t, left)
      const tokens = size === length ? normed : slice(normed, [0, t, 0], [B, size, D])
      const pooled = mean(reshape(tokens, [B, size / chunk, chunk, D]), 2) // [B, n, D]
      const added = earlier && this.mixed(pooled, slice(earlier, [0, t / chunk, 0], [-1, size / chunk, this.net.size]))
      const steps = this.stepsOf(tokens, point, added, pass)
      const span = this.scanned(steps, pooled, weights, momentum)
      momentum = span.momentum
      t += size
      refreshed = size === left && refresh > 0
      const moved = refreshed && this.transition ? lerp(point, lastOf(span.weights), this.transition) : null
      versions.push(moved === null ? span.weights : withLast(span.weights, moved))
      weights = moved ?? lastOf(span.weights)
      if (refreshed) point = weights
    }
    const parted = (flat: Tensor): FastWeights => partRows(unflattened(flat, this.net), this.options.nHeads)
    return {
      weights: parted(weights),
      momentum: momentum && parted(momentum),
      point: refresh === 0 || refreshed ? null : parted(point),
      versions: concat(versions, 1),
    }
  }

  /** What the memory of an earlier layer adds to the gradient points of n chunks, `[B H, n, P]`. */
  private mixed(pooled: Tensor, earlier: Tensor): Tensor | null {
    return this.mixGate && mul(earlier, sigmoid(this.heads(this.mixGate.forward(pooled))))
  }

  /** The summed step of each chunk, `−Σ θ_i ∇ℓ_i`: tokens `[B, n C, D]`, point `[B H, P]`, to `[B H, n, P]`. */
  private stepsOf(tokens: Tensor, point: Tensor, added: Tensor | null, pass: Pass | undefined): Tensor {
    const { chunk, maxLr, maxGradNorm } = this.options
    const keys = this.heads(this.kProj.forward(tokens)) // [B H, n C, K]
    const k = this.kNorm ? this.kNorm.forward(keys) : keys
    const v = this.heads(this.vProj.forward(tokens))
    const step = mul(sigmoid(this.heads(this.stepGate.forward(tokens))), maxLr)
    const byChunk = (rows: Tensor): Tensor => reshape(rows, [-1, chunk, rows.shape[2] as number]) // [B H n, C, ...]
    const gradient =
      added === null
        ? this.net.gradient(unflattened(point, this.net), k, v)
        : this.net.gradient(
            unflattened(reshape(add(expandDims(point, 1), added), [-1, this.net.size]), this.net),
            byChunk(k),
            byChunk(v),
          )
    pass?.record?.record('surprise', reshape(gradient.loss, step.shape))
    pass?.record?.record('stepSize', step)
    const { inputs, grads, gamma, loss } = gradient
    const perChunk = { inputs: inputs.map(byChunk), grads: grads.map(byChunk), gamma: gamma && byChunk(gamma), loss }
    const gradients = summed(perChunk, byChunk(step))
    const bounded = maxGradNorm === 0 ? gradients : gradients.map((g) => limited(g, maxGradNorm))
    return neg(reshape(flattened(bounded), [k.shape[0] as number, -1, this.net.size]))
  }

  /** Momentum, then decay: two linear recurrences over the chunks. */
  private scanned(
    steps: Tensor,
    pooled: Tensor,
    weights: Tensor,
    momentum: Tensor | null,
  ): { readonly weights: Tensor; readonly momentum: Tensor | null } {
    const spread = (gate: Tensor): Tensor => mul(gate, onesLike(steps)) // [B H, n, 1] to [B H, n, P]
    const kept = spread(sigmoid(neg(this.heads(this.decayGate.forward(pooled)))))
    if (this.momentumGate === null || momentum === null) {
      return { weights: linearScan({ a: kept, b: steps, h0: weights }).h, momentum: null }
    }
    const eta = spread(sigmoid(this.heads(this.momentumGate.forward(pooled))))
    const pushed = linearScan({ a: eta, b: steps, h0: momentum }).h
    return { weights: linearScan({ a: kept, b: pushed, h0: weights }).h, momentum: lastOf(pushed) }
  }

  /** Reads x `[B, T, D]`, the first of which reads version ⌊slot / C⌋, and so on. */
  private retrieve(x: Tensor, versions: Tensor, slot: number): Tensor {
    const { nHeads, dHead, chunk } = this.options
    const [B, T] = x.shape as [number, number]
    const N = B * nHeads
    const normed = this.retrieveNorm.forward(x)
    const queries = this.heads(this.qProj.forward(normed)) // [B H, T, K]
    const q = this.qNorm ? this.qNorm.forward(queries) : queries
    const first = Math.floor(slot / chunk)
    const count = Math.floor((slot + T - 1) / chunk) - first + 1
    const read = slice(versions, [0, first, 0], [N, count, this.net.size])
    const weights = unflattened(reshape(read, [N * count, this.net.size]), this.net)
    let values: Tensor
    if (count === 1) values = this.net.forward(weights, q)
    else {
      // rows of one chunk read one version; what is missing of the first and last chunk is filled up
      const lead = slot - first * chunk
      const rows = pad(q, [
        [0, 0],
        [lead, count * chunk - lead - T],
        [0, 0],
      ])
      const all = this.net.forward(weights, reshape(rows, [N * count, chunk, dHead]))
      values = slice(reshape(all, [N, count * chunk, dHead]), [0, lead, 0], [N, T, dHead])
    }
    if (this.readNorm) values = this.readNorm.forward(values)
    if (this.readGate) values = mul(values, sigmoid(this.heads(this.readGate.forward(normed))))
    const joined = joinHeads(values, nHeads)
    return this.oProj ? this.oProj.forward(joined) : joined
  }

  private heads(x: Tensor): Tensor {
    return splitHeads(x, this.options.nHeads)
  }

  stateBytes(length: number): number {
    const { dModel, nHeads, chunk, refresh, momentum } = this.options
    const stored = length - (length % chunk)
    const copies = 1 + (momentum ? 1 : 0) + (refresh > 0 && stored % refresh !== 0 ? 1 : 0)
    return 4 * (copies * nHeads * this.net.size + (length - stored) * dModel)
  }
}

/** The last of `[N, n, P]`, as `[N, P]`. */
function lastOf(x: Tensor): Tensor {
  const [N, n, P] = x.shape as [number, number, number]
  return reshape(slice(x, [0, n - 1, 0], [N, 1, P]), [N, P])
}

function withLast(x: Tensor, last: Tensor): Tensor {
  const [N, n, P] = x.shape as [number, number, number]
  return concat([slice(x, [0, 0, 0], [N, n - 1, P]), expandDims(last, 1)], 1)
}

/** From a towards b by the share sigmoid(gate). */
const lerp = (a: Tensor, b: Tensor, gate: Tensor): Tensor => add(a, mul(sub(b, a), sigmoid(gate)))
