import {
  atTokens,
  constant,
  dims,
  equalParts,
  type Gaps,
  GroupNorm,
  gapsOf,
  Linear,
  type LinearOptions,
  type Mixed,
  type MixerTraits,
  Module,
  mlstm,
  type Pass,
  type Rng,
  type SequenceMixer,
  softCap,
  startBias,
} from '@mneme/core-tensor'
import { mul, reshape, sigmoid, type Tensor, zeros } from '@tensorflow/tfjs-core'

export interface MlstmOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Widths of keys and of values, all heads together, over dModel. */
  readonly expandK: number
  readonly expandV: number
  /** Gates' pre-activations are bounded by this. */
  readonly gateCap: number
  /** What the bias of the input gate starts at: far below zero lets memories fill slowly. */
  readonly inputGateBias: number
  /** Added to the denominator of the readout. */
  readonly eps: number
  readonly normEps: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

export type MlstmState = {
  /** Memory `[B, H, K, V]` and normaliser `[B, H, K]`, both divided by e^m; m `[B, H]`. */
  readonly C: Tensor
  readonly n: Tensor
  readonly m: Tensor
}

/** Nothing remembered. */
export function emptyMlstm(B: number, H: number, K: number, V: number): MlstmState {
  return { C: constant([B, H, K, V], 0), n: constant([B, H, K], 0), m: constant([B, H], 0) }
}

/** Gates at padding: nothing comes in, nothing goes. */
const SHUT = -1e30
const OPEN = 1e3

interface MlstmTokens {
  /** `[B, T, H K]` */
  readonly q: Tensor
  readonly k: Tensor
  /** `[B, T, H V]` */
  readonly v: Tensor
  /** Before their exponential and sigmoid, `[B, T, H]`. */
  readonly inputGate: Tensor
  readonly forgetGate: Tensor
}

/** The cell, head by head: what is read for each token, `[B, T, H V]`, and the state after the last. */
export function mlstmHeads(
  { q, k, v, ...gates }: MlstmTokens,
  state: MlstmState,
  gaps: Gaps | null,
  options: { readonly eps: number; readonly chunk: number },
  pass?: Pass,
): Mixed<MlstmState> {
  const [B, T, H] = gates.inputGate.shape as [number, number, number]
  const heads = (y: Tensor): Tensor => reshape(y, [B, T, H, -1])
  const inputGate = atTokens(gates.inputGate, gaps, SHUT)
  const forgetGate = atTokens(gates.forgetGate, gaps, OPEN)
  const { h, ...after } = mlstm(
    {
      q: heads(q),
      k: heads(k),
      v: heads(v),
      inputGate,
      forgetGate,
      ...(gaps && { resets: gaps.starts }),
      ...state,
    },
    options,
  )
  pass?.record?.record('inputGate', inputGate)
  pass?.record?.record('forgetGate', forgetGate)
  pass?.record?.record('memory', after.C)
  return { y: reshape(h, v.shape), state: after }
}

/**
 * mLSTM: a matrix memory for each head, with an exponential input gate and a forget gate, read over a normaliser.
 *
 *   C_t = σ(f_t) C_{t-1} + e^{i_t} k_t v_tᵀ,   n_t = σ(f_t) n_{t-1} + e^{i_t} k_t
 *   h_t = C_tᵀ q_t / max(|n_tᵀ q_t|, 1),   y_t = W_o(σ(o_t) ⊙ LayerNorm(h_t)),   q over √K, i and f capped softly
 *
 * q, k `[B, T, H, K]`, v `[B, T, H, V]`, i, f `[B, T, H]`; the norm is by head. State C `[B, H, K, V]`, n `[B, H, K]` and the
 * logarithm m `[B, H]` of their scale, constant in T. Time O(T K V) a head.
 * Paper: Beck et al. 2024, arXiv:2405.04517, section 2.3; Beck et al. 2025, arXiv:2503.13427, section 3.1, whose layer
 * this is: without convolution and up-projection.
 */
export class MLSTM extends Module implements SequenceMixer<MlstmState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly qProj: Linear
  readonly kProj: Linear
  readonly vProj: Linear
  readonly outputGate: Linear
  readonly inputGate: Linear
  readonly forgetGate: Linear
  readonly norm: GroupNorm
  readonly outProj: Linear
  private readonly dKeys: number
  private readonly dValues: number

  constructor(
    private readonly options: MlstmOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, nHeads: H, expandK, expandV, inputGateBias, normEps, projection = { bias: false } } = options
    this.dKeys = Math.trunc(D * expandK)
    this.dValues = Math.trunc(D * expandV)
    equalParts('MLSTM nHeads', H, 'the width of keys', this.dKeys)
    equalParts('MLSTM nHeads', H, 'the width of values', this.dValues)
    this.qProj = new Linear(D, this.dKeys, rng, projection)
    this.kProj = new Linear(D, this.dKeys, rng, projection)
    this.vProj = new Linear(D, this.dValues, rng, projection)
    this.outputGate = new Linear(D, this.dValues, rng, projection)
    // gates start the same for every token: shut for input, and from 3 to 6 over the heads for what is kept
    this.inputGate = gate(D, H, rng, () => inputGateBias)
    this.forgetGate = gate(D, H, rng, (h) => forgetBias(h, H))
    this.norm = new GroupNorm(H, this.dValues, normEps, { bias: projection.bias ?? false })
    this.outProj = new Linear(this.dValues, D, rng, projection)
  }

  initialState(batch: number): MlstmState {
    const H = this.options.nHeads
    return emptyMlstm(batch, H, this.dKeys / H, this.dValues / H)
  }

  forward(x: Tensor, state?: MlstmState, pass?: Pass): Mixed<MlstmState> {
    const { dModel, gateCap, eps, chunk } = this.options
    const { B, T } = dims('MLSTM.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('MLSTM.forward', pass, B, T)
    const cap = softCap(gateCap)
    const tokens = {
      q: this.qProj.forward(x),
      k: this.kProj.forward(x),
      v: this.vProj.forward(x),
      inputGate: cap(this.inputGate.forward(x)),
      forgetGate: cap(this.forgetGate.forward(x)),
    }
    const { y: h, state: after } = mlstmHeads(tokens, state ?? this.initialState(B), gaps, { eps, chunk }, pass)
    const read = mul(sigmoid(this.outputGate.forward(x)), this.norm.forward(h))
    return { y: this.outProj.forward(read), state: after }
  }

  stateBytes(): number {
    const H = this.options.nHeads
    return 4 * ((this.dKeys * this.dValues) / H + this.dKeys + H)
  }
}

/** From 3 to 6 over the heads. */
export const forgetBias = (head: number, heads: number): number => (heads === 1 ? 3 : 3 + (3 * head) / (heads - 1))

/** Gates `[B, T, H]` that start the same for every token. */
export function gate(dModel: number, heads: number, rng: Rng, bias: (head: number) => number): Linear {
  const linear = new Linear(dModel, heads, rng, { init: (_, shape) => zeros([...shape]) })
  startBias(linear, bias)
  return linear
}
