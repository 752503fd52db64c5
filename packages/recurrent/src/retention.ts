import {
  constant,
  dims,
  type Gaps,
  gapsOf,
  gatedLinearAttention,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  RMSNorm,
  type Rng,
  Rotary,
  type SequenceMixer,
  silu,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  cumsum,
  expandDims,
  fill,
  maximum,
  mul,
  reshape,
  slice,
  sub,
  type Tensor,
  tensor,
} from '@tensorflow/tfjs-core'

export interface RetentionOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Width of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Of the frequencies that queries and keys are turned by; null for no turning. */
  readonly ropeBase: number | null
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type RetentionState = {
  readonly memory: Tensor
  /** Positions so far, padding counted. */
  readonly position: number
  /** Tokens of each row so far, `[B]`; null as long as every position was a token. */
  readonly rowPositions: Tensor | null
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
 * Differs: the norm has a weight, rotations pair features half a head apart, and scores are not normalised by rows, as in
 * the form that flash-linear-attention publishes.
 */
export class Retention extends Module implements SequenceMixer<RetentionState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly gProj: Linear
  readonly gNorm: RMSNorm
  readonly oProj: Linear
  private readonly rotary: Rotary | null
  private readonly dKey: number
  private readonly dValue: number

  constructor(
    private readonly options: RetentionOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, expandK, expandV, ropeBase, normEps, projection = { bias: false } } = options
    const [keyWidth, valueWidth] = [Math.trunc(dModel * expandK), Math.trunc(dModel * expandV)]
    for (const width of [keyWidth, valueWidth]) {
      if (width % nHeads === 0) continue
      throw new RangeError(`Retention nHeads: expected a divisor of the inner width ${width}, got ${nHeads}.`)
    }
    this.dKey = keyWidth / nHeads
    this.dValue = valueWidth / nHeads
    this.qProj = new Linear(dModel, keyWidth, rng, projection)
    this.kProj = new Linear(dModel, keyWidth, rng, projection)
    this.vProj = new Linear(dModel, valueWidth, rng, projection)
    this.gProj = new Linear(dModel, valueWidth, rng, projection)
    this.gNorm = new RMSNorm(this.dValue, normEps)
    this.oProj = new Linear(valueWidth, dModel, rng, projection)
    this.rotary = ropeBase === null ? null : new Rotary({ dims: this.dKey, base: ropeBase })
  }

  initialState(batch: number): RetentionState {
    return {
      memory: constant([batch, this.options.nHeads, this.dKey, this.dValue], 0),
      position: 0,
      rowPositions: null,
    }
  }

  forward(x: Tensor, state?: RetentionState, pass?: Pass): Mixed<RetentionState> {
    const { dModel, nHeads: H, chunk } = this.options
    const { B, T } = dims('Retention.forward x', x, 'B T D', { D: dModel })
    const before = state ?? this.initialState(B)
    const gaps = gapsOf('Retention.forward', pass, B, T)
    const counted = countedTokens(before, gaps, B, T)
    const turned = (projected: Tensor): Tensor => {
      const heads = reshape(projected, [B, T, H, this.dKey])
      if (this.rotary === null) return heads
      if (counted === null) return this.rotary.forward(heads, before.position)
      const positions = cast(maximum(sub(counted, 1), 0), 'int32')
      return this.rotary.forwardAt(heads, positions, before.position + T)
    }
    const k = turned(this.kProj.forward(x))
    const decay = tensor(retentionLogDecay(H), [1, 1, H, 1])
    const isToken = gaps && reshape(gaps.tokens, [B, T, 1, 1])
    const { o, state: memory } = gatedLinearAttention(
      {
        q: turned(this.qProj.forward(x)),
        k: isToken ? mul(k, isToken) : k,
        v: reshape(this.vProj.forward(x), [B, T, H, this.dValue]),
        logDecay: isToken ? mul(decay, isToken) : decay,
        ...(gaps && { resets: gaps.starts }),
        state: before.memory,
      },
      { chunk },
    )
    pass?.record?.record('memory', memory)
    const read = reshape(this.gNorm.forward(o), [B, T, H * this.dValue])
    return {
      y: this.oProj.forward(mul(read, silu(this.gProj.forward(x)))),
      state: {
        memory,
        position: before.position + T,
        rowPositions: counted && reshape(slice(counted, [0, T - 1], [B, 1]), [B]),
      },
    }
  }

  stateBytes(): number {
    return 4 * this.options.nHeads * this.dKey * this.dValue
  }
}

/** How many tokens each row has had up to each position, `[B, T]`; null where that is the position itself. */
function countedTokens(
  { position, rowPositions }: RetentionState,
  gaps: Gaps | null,
  B: number,
  T: number,
): Tensor | null {
  if (gaps === null && rowPositions === null) return null
  const before = expandDims(rowPositions ?? fill([B], position), 1)
  return add(before, cumsum(gaps?.tokens ?? fill([B, T], 1), 1))
}
