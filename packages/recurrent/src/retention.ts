import {
  atTokens,
  constant,
  counted,
  dims,
  equalParts,
  extended,
  type Gaps,
  gapsOf,
  gatedLinearAttention,
  Linear,
  type LinearOptions,
  linearScan,
  type Mixed,
  type MixerTraits,
  Module,
  noTokens,
  overGaps,
  type Pass,
  RMSNorm,
  type Rng,
  Rotary,
  type RotaryOptions,
  rmsNorm,
  rowByRow,
  type SequenceMixer,
  silu,
  type TokenCount,
  tokenAt,
  turnedAt,
} from '@mneme/core-tensor'
import { expandDims, maximum, mul, ones, reshape, rsqrt, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { retentionByRows } from './retention-by-rows.js'

export interface RetentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Width of values, all heads together, where it is not `expandV` times dModel. */
  readonly valueWidth?: number
  /** Of the frequencies that queries and keys are turned by; null for no turning. */
  readonly ropeBase: number | null
  /**
   * Which features turn together: those half a head apart, by base^(-2m/K), or neighbours, by base^(-m/(K/2-1)), whose
   * last frequency is exactly 1/base.
   */
  readonly rotation?: 'half' | 'neighbours'
  /** Logarithms of the decays, by head; `retentionLogDecay` where none are given. */
  readonly logDecay?: readonly number[]
  /**
   * Divides each row of scores: by nothing; by the root of the sum of its decays; or by that, and then by the sum of what
   * is left, as absolute values between 1 and 50000, which gradients do not flow through. The last needs every key again,
   * so that the state grows. None matters but through the epsilon of the norm behind it.
   */
  readonly rows?: 'plain' | 'by decays' | 'by scores'
  readonly normEps: number
  /** Whether the norm has a weight. */
  readonly normWeight?: boolean
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type RetentionState = TokenCount & {
  /** Null where rows are divided by their scores: then keys, turned, and values of every token. */
  readonly memory: Tensor | null
  readonly keys: Tensor | null
  readonly values: Tensor | null
  /** Sum of the decays so far, `[B, H]`; null where rows are not divided by it, or from what is counted. */
  readonly decays: Tensor | null
}

/** Logarithm of the decay of each head, `ln(1 − 2^(−5−h))`. */
export function retentionLogDecay(nHeads: number): number[] {
  return Array.from({ length: nHeads }, (_, h) => Math.log1p(-(2 ** (-5 - h))))
}

/**
 * Multi-scale retention: linear attention whose memory fades at a fixed rate in each head.
 *
 *   S_t = γ_h S_{t-1} + k_t v_tᵀ,   o_t = S_tᵀ q_t / √K,   y_t = W_o(RMSNorm(o_t) ⊙ silu(W_g x_t)),   γ_h = 1 − 2^(−5−h)
 *
 * q and k are turned by their position, so that a score depends on the distance; the norm is by head. State S
 * `[B, H, K, V]`, constant in T. Time O(T K V) a head, in chunks of matrix products.
 * Paper: Sun et al. 2023, arXiv:2307.08621, section 2.
 * Differs: unless asked for, the norm has a weight, rotations pair features half a head apart, and scores are not
 * normalised by rows, as in the form that flash-linear-attention publishes.
 */
export class Retention extends Module implements SequenceMixer<RetentionState> {
  readonly traits: MixerTraits
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly gProj: Linear
  readonly gNorm: RMSNorm | null
  readonly oProj: Linear
  private readonly rotary: Rotary | null
  private readonly dKey: number
  private readonly dValue: number
  private readonly logDecay: readonly number[]
  private readonly rows: 'plain' | 'by decays' | 'by scores'

  constructor(
    private readonly options: RetentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, expandK, expandV, normEps, projection = { bias: false } } = options
    const { valueWidth = Math.trunc(dModel * expandV), normWeight = true } = options
    const keyWidth = Math.trunc(dModel * expandK)
    this.rows = options.rows ?? 'plain'
    const bounded = this.rows !== 'by scores'
    this.traits = { causal: true, padding: true, constantState: bounded }
    this.dKey = equalParts('Retention nHeads', nHeads, 'the width of keys', keyWidth)
    this.dValue = equalParts('Retention nHeads', nHeads, 'the width of values', valueWidth)
    this.qProj = new Linear(dModel, keyWidth, rng, projection)
    this.kProj = new Linear(dModel, keyWidth, rng, projection)
    this.vProj = new Linear(dModel, valueWidth, rng, projection)
    this.gProj = new Linear(dModel, valueWidth, rng, projection)
    this.gNorm = normWeight ? new RMSNorm(this.dValue, normEps) : null
    this.oProj = new Linear(valueWidth, dModel, rng, projection)
    const turns = rotation(this.dKey, options)
    this.rotary = turns === null ? null : new Rotary(turns)
    this.logDecay = options.logDecay ?? retentionLogDecay(nHeads)
  }

  initialState(batch: number): RetentionState {
    const { nHeads: H } = this.options
    return {
      memory: this.rows === 'by scores' ? null : constant([batch, H, this.dKey, this.dValue], 0),
      keys: null,
      values: null,
      decays: this.rows === 'by decays' ? constant([batch, H], 0) : null,
      ...noTokens,
    }
  }

  forward(x: Tensor, state?: RetentionState, pass?: Pass): Mixed<RetentionState> {
    const { dModel, nHeads: H } = this.options
    const { B, T } = dims('Retention.forward x', x, 'B T D', { D: dModel })
    // scores of all keys have a place for each position
    const apart = this.rows === 'by scores' ? rowByRow(this, x, state, pass) : null
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('Retention.forward', pass, B, T)
    const { positions, next } = counted(before, gaps, B, T)
    const turned = (projected: Tensor): Tensor =>
      turnedAt(this.rotary, reshape(projected, [B, T, H, this.dKey]), before.position, positions)
    const heads = {
      q: turned(this.qProj.forward(x)),
      k: turned(this.kProj.forward(x)),
      v: reshape(this.vProj.forward(x), [B, T, H, this.dValue]),
    }
    const { o, ...memory } = this.rows === 'by scores' ? this.byRows(heads, before) : this.scanned(heads, before, gaps)
    if (memory.memory) pass?.record?.record('memory', memory.memory)
    const normed = this.gNorm ? this.gNorm.forward(o) : rmsNorm({ x: o }, { eps: this.options.normEps }).y
    const read = reshape(normed, [B, T, H * this.dValue])
    return {
      y: this.oProj.forward(mul(read, silu(this.gProj.forward(x)))),
      state: { ...memory, ...next },
    }
  }

  private scanned({ q, k, v }: Heads, before: RetentionState, gaps: Gaps | null): Read {
    const { nHeads: H, chunk } = this.options
    const [B, T] = q.shape as [number, number]
    const decay = tensor([...this.logDecay], [1, 1, H, 1])
    const { o, state: memory } = gatedLinearAttention(
      {
        q,
        k: atTokens(k, gaps),
        v,
        logDecay: atTokens(decay, gaps),
        ...(gaps && { resets: gaps.starts }),
        ...(before.memory && { state: before.memory }),
      },
      { chunk },
    )
    const rest = { memory, keys: null, values: null }
    if (before.decays === null) return { o, ...rest, decays: null }
    const factors = mul(tensor(this.logDecay.map(Math.exp), [1, 1, H]), ones([B, T, 1]))
    const { h } = linearScan({ ...overGaps(factors, ones([B, T, H]), gaps), h0: before.decays })
    // padding ahead of every token has a sum of nothing
    return { o: mul(o, expandDims(rsqrt(maximum(h, 1)), 3)), ...rest, decays: tokenAt(h, T - 1) }
  }

  private byRows({ q, k, v }: Heads, before: RetentionState): Read {
    const keys = extended(before.keys, k)
    const values = extended(before.values, v)
    return { o: retentionByRows(q, keys, values, this.logDecay), memory: null, keys, values, decays: null }
  }

  stateBytes(length: number): number {
    const { nHeads: H } = this.options
    if (this.rows === 'by scores') return 4 * H * (this.dKey + this.dValue) * length
    return 4 * H * (this.dKey * this.dValue + (this.rows === 'by decays' ? 1 : 0))
  }
}

interface Heads {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
}

type Read = Omit<RetentionState, keyof TokenCount> & { readonly o: Tensor }

function rotation(dKey: number, { ropeBase, rotation = 'half' }: RetentionOptions): RotaryOptions | null {
  if (ropeBase === null) return null
  if (rotation === 'half') return { dims: dKey, base: ropeBase }
  const last = Math.max(dKey / 2 - 1, 1)
  return {
    dims: dKey,
    layout: 'interleaved',
    frequencies: Array.from({ length: dKey / 2 }, (_, m) => ropeBase ** (-m / last)),
  }
}
