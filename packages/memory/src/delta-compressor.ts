import {
  constant,
  deltaRule,
  Linear,
  logRateStart,
  type Mixed,
  Module,
  type Pass,
  parameter,
  RMSNorm,
  type Rng,
  rateLogDecay,
  type State,
  silu,
  timeStepBias,
  unitLength,
} from '@mneme/core-tensor'
import {
  concat,
  matMul,
  mul,
  reshape,
  sigmoid,
  split,
  type Tensor,
  transpose,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import type { Compressor, LeavingTokens } from './artificial-hippocampus.js'

export interface DeltaCompressorOptions {
  readonly dModel: number
  readonly nHeads: number
  readonly dHead: number
  /** Whether the memory decays, as in Gated DeltaNet, or not, as in DeltaNet. */
  readonly decay: boolean
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  /** Initial output matrices; zeros by default, which leave a model that this is added to as it was. */
  readonly outputInit?: (rng: Rng, shape: readonly number[]) => Tensor
}

/**
 * Delta rule over what leaves a window.
 *
 *   S_t = α_j (I − β_j k_j k_jᵀ) S_{t-1} + β_j k_j v_jᵀ,   y_t = W_o (norm(S_tᵀ q_t / √K) silu(w_g·x_t))   for each head
 *   α_j = exp(−e^A softplus(w_a·x_j + δ)),   β_j = sigmoid(w_b·x_j)
 *
 * q, k at length 1; W_o `[K, K]` for each head, zero at first. State S `[B, H, K, K]`, constant. Time O(T H K²).
 * Paper: Fang et al. 2025, arXiv:2510.07318, section 3.2.
 */
export class DeltaCompressor extends Module implements Compressor {
  readonly gateWidth: number
  readonly bProj: Linear
  readonly aProj: Linear | null
  /** ln of the decay rate of each head. */
  readonly logRate: Variable | null
  readonly rateBias: Variable | null
  readonly gProj: Linear
  readonly oNorm: RMSNorm
  /** `[H, K out, K in]` */
  readonly oProj: Variable

  constructor(
    private readonly options: DeltaCompressorOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, nHeads, dHead, decay, normEps, outputInit } = options
    const scalars = (): Linear => new Linear(dModel, nHeads, rng, { bias: false })
    this.gateWidth = decay ? 2 * nHeads : nHeads
    this.bProj = scalars()
    this.aProj = decay ? scalars() : null
    this.logRate = decay ? parameter(logRateStart(rng, [nHeads])) : null
    this.rateBias = decay ? parameter(timeStepBias(rng, [nHeads])) : null
    this.gProj = scalars()
    this.oNorm = new RMSNorm(dHead, normEps)
    const shape = [nHeads, dHead, dHead]
    this.oProj = parameter(outputInit?.(rng, shape) ?? constant(shape, 0))
  }

  /** A matrix of zeros a head, `[B, H, K, V]`. */
  initialState(batch: number): Tensor {
    const { nHeads, dHead } = this.options
    return zeros([batch, nHeads, dHead, dHead])
  }

  /** β, and the logarithm of α. */
  gates(x: Tensor): Tensor {
    const beta = sigmoid(this.bProj.forward(x))
    if (this.aProj === null || this.logRate === null || this.rateBias === null) return beta
    return concat([beta, rateLogDecay(this.aProj.forward(x), this.logRate, this.rateBias)], 2)
  }

  forward({ x, q, k, v, gates }: LeavingTokens, state: State, pass?: Pass): Mixed<State> {
    const [B, T, H] = q.shape as [number, number, number]
    // where nothing leaves all gates are 0: nothing is stored, and nothing decays
    const [beta, logDecay] = split(gates as Tensor, this.options.decay ? 2 : 1, 2) as [Tensor, Tensor?]
    const { o, state: memory } = deltaRule(
      { q: unitLength(q), k: unitLength(k), v, beta, ...(logDecay && { logDecay }), state: state as Tensor },
      { chunk: this.options.chunk },
    )
    pass?.record?.record('memory', memory)
    const read = mul(this.oNorm.forward(o), reshape(silu(this.gProj.forward(x)), [B, T, H, 1]))
    const byHead = reshape(transpose(read, [2, 0, 1, 3]), [H, B * T, -1])
    const y = transpose(reshape(matMul(byHead, this.oProj, false, true), [H, B, T, -1]), [1, 2, 0, 3])
    return { y, state: memory }
  }

  stateBytes(): number {
    const { nHeads, dHead } = this.options
    return 4 * nHeads * dHead * dHead
  }
}
