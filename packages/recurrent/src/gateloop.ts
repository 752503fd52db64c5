import {
  atTokens,
  complexLinearScan,
  constant,
  cosSin,
  dims,
  equalParts,
  type Gaps,
  gapsOf,
  gatedLinearAttention,
  LayerNorm,
  Linear,
  type LinearOptions,
  linearScan,
  logSigmoid,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  type Rng,
  type SequenceMixer,
  silu,
  stopGradient,
  tokenAt,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  div,
  exp,
  expandDims,
  mul,
  neg,
  ones,
  reshape,
  split,
  sqrt,
  square,
  sub,
  type Tensor,
  unstack,
  zeros,
} from '@tensorflow/tfjs-core'
import { complexProduct } from './diagonal-ssm.js'

/** Real and imaginary part of the memory, `[B, H, K, V]`; no imaginary one where transitions are real. */
export type GateLoopState = { readonly re: Tensor; readonly im: Tensor | null }

/** A transition `e^{logDecay} (cos + i sin)`, each part `[B, T, H]`; 1 where a part is absent. */
export interface Transition {
  readonly logDecay?: Tensor
  readonly turn?: { readonly cos: Tensor; readonly sin: Tensor }
}

export interface GateLoopInputs {
  /** `[B, T, H, K]` */
  readonly q: Tensor
  readonly k: Tensor
  /** `[B, T, H, V]` */
  readonly v: Tensor
  readonly transition: Transition
  readonly state: GateLoopState
  readonly gaps?: Gaps | null
}

/**
 * Linear attention whose memory is turned and shrunk by a complex number a token and head.
 *
 *   S_t = a_t S_{t-1} + k_t v_tᵀ,   y_t = Re(S_tᵀ q_t),   a_t ∈ ℂ, |a_t| ≤ 1
 *
 * No state of a token is kept: all the turns so far are put into q and k, as rotary positions are, and what remains is a
 * real decay. Heads of one key and one value are one complex scan. `chunk` changes cost, not results.
 * Source: Katsch 2023, arXiv:2311.01927, sections 3.1 and 3.3.
 */
export function gateLoop(inputs: GateLoopInputs, chunk = 64): { readonly y: Tensor; readonly state: GateLoopState } {
  const padded = overPadding(inputs)
  return inputs.q.shape[3] === 1 && inputs.v.shape[3] === 1 ? scanned(padded) : attended(padded, chunk)
}

/** Padding neither turns nor shrinks, and writes nothing. */
function overPadding(inputs: GateLoopInputs): GateLoopInputs {
  const { k, transition, gaps } = inputs
  if (!gaps) return inputs
  const { logDecay, turn } = transition
  return {
    ...inputs,
    k: atTokens(k, gaps),
    transition: {
      ...(logDecay && { logDecay: atTokens(logDecay, gaps) }),
      ...(turn && { turn: { cos: atTokens(turn.cos, gaps, 1), sin: atTokens(turn.sin, gaps) } }),
    },
  }
}

function attended({ q, k, v, transition, state, gaps }: GateLoopInputs, chunk: number): ReturnType<typeof gateLoop> {
  const [B, T, H] = q.shape as [number, number, number]
  const { logDecay, turn } = transition
  const turns = turn && products(turn)
  const turned = (x: Tensor): Tensor =>
    turns ? concat([mul(x, expandDims(turns.hr, 3)), neg(mul(x, expandDims(turns.hi, 3)))], 3) : x
  const { o, state: memory } = gatedLinearAttention(
    {
      q: turned(q),
      k: turned(k),
      v,
      ...(logDecay && { logDecay: expandDims(logDecay, 3) }),
      ...(gaps && { resets: gaps.starts }),
      state: state.im === null ? state.re : concat([state.re, state.im], 2),
    },
    { chunk, scale: 1 },
  )
  if (!turns) return { y: o, state: { re: memory, im: null } }
  // the memory is as seen from before the first token: turned on by all the turns since
  const [c, s] = [turns.hr, turns.hi].map((x) => reshape(tokenAt(x, T - 1), [B, H, 1, 1])) as [Tensor, Tensor]
  const [re, im] = split(memory, 2, 2) as [Tensor, Tensor]
  return { y: o, state: complexProduct({ re: c, im: s }, { re, im }) }
}

/** Product of the turns up to each token. */
function products({ cos, sin }: Required<Transition>['turn']): ReturnType<typeof complexLinearScan> {
  const [B, , H] = cos.shape as [number, number, number]
  const nothing = zeros(cos.shape)
  return complexLinearScan({ ar: cos, ai: sin, br: nothing, bi: nothing, h0r: ones([B, H]), h0i: zeros([B, H]) })
}

function scanned({ q, k, v, transition, state, gaps }: GateLoopInputs): ReturnType<typeof gateLoop> {
  const [B, T, H] = q.shape as [number, number, number]
  const { logDecay, turn } = transition
  const flat = (x: Tensor): Tensor => reshape(x, [B, T, H])
  const written = flat(mul(k, v))
  const decay = logDecay ? exp(logDecay) : ones([B, T, H])
  const kept = gaps ? mul(decay, expandDims(sub(1, gaps.starts), 2)) : decay
  const before = (x: Tensor): Tensor => reshape(x, [B, H])
  const after = (x: Tensor): Tensor => reshape(tokenAt(x, T - 1), [B, H, 1, 1])
  const y = (h: Tensor): Tensor => reshape(mul(flat(q), h), [B, T, H, 1])
  if (turn === undefined || state.im === null) {
    const { h } = linearScan({ a: kept, b: written, h0: before(state.re) })
    return { y: y(h), state: { re: after(h), im: null } }
  }
  const { hr, hi } = complexLinearScan({
    ar: mul(kept, turn.cos),
    ai: mul(kept, turn.sin),
    br: written,
    bi: zeros([B, T, H]),
    h0r: before(state.re),
    h0i: before(state.im),
  })
  return { y: y(hr), state: { re: after(hr), im: after(hi) } }
}

export interface GateLoopOptions {
  readonly dModel: number
  readonly dInner: number
  /** As many as dInner: one complex number a channel. */
  readonly nHeads: number
  /**
   * From the gate's two values (α, β) a head: `complex` σ(α) e^{iβ}, the paper's; `polar` σ(|α + iβ|) turned by the angle
   * of α + iβ, the common port's; `real` σ(α) of one value; `none` 1, plain linear attention.
   */
  readonly transition: 'complex' | 'polar' | 'real' | 'none'
  /** Whether the readout is multiplied by silu(W_g x). */
  readonly outputGate: boolean
  /** Whether the readout is normalised before that. */
  readonly subNorm: boolean
  /** Share of its gradient that the gate passes back, instead of a learning rate of its own. */
  readonly gateGradient: number
  /** Tokens a block of matrix products; changes cost, not results. */
  readonly chunk: number
  readonly projection?: LinearOptions
}

/**
 * Linear attention with complex transitions that the token decides on: how much is kept, and how far it is turned.
 *
 *   S_t = a_t S_{t-1} + k_t v_tᵀ,   a_t = σ(α_t) e^{iβ_t},   y_t = W_o(LN(Re(S_tᵀ q_t)) ⊙ silu(W_g x_t))
 *
 * q, k, v `[B, T, H, K]` from one linear map, α, β `[B, T, H]` from another. State S as two tensors `[B, H, K, K]`,
 * constant in T. Time O(T K²) a head, in chunks of matrix products.
 * Paper: Katsch 2023, arXiv:2311.01927, section 3.
 */
export class GateLoop extends Module implements SequenceMixer<GateLoopState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  /** Its output is q, k, v. */
  readonly qkvProj: Linear
  /** Its output is α, β of the first head, and so on. */
  readonly aProj: Linear | null
  readonly gProj: Linear | null
  readonly subNorm: LayerNorm | null
  readonly outProj: Linear | null
  private readonly complex: boolean

  constructor(
    private readonly options: GateLoopOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dInner, nHeads, transition, outputGate, subNorm, projection = { bias: false } } = options
    equalParts('GateLoop nHeads', nHeads, 'dInner', dInner)
    this.complex = transition === 'complex' || transition === 'polar'
    this.qkvProj = new Linear(dModel, 3 * dInner, rng, projection)
    this.aProj = transition === 'none' ? null : new Linear(dModel, (this.complex ? 2 : 1) * nHeads, rng)
    this.gProj = outputGate ? new Linear(dModel, dInner, rng, projection) : null
    this.subNorm = subNorm ? new LayerNorm(dInner) : null
    this.outProj = dInner === dModel && !outputGate ? null : new Linear(dInner, dModel, rng, projection)
  }

  initialState(batch: number): GateLoopState {
    const { nHeads, dInner } = this.options
    const width = dInner / nHeads
    const memory = (): Tensor => constant([batch, nHeads, width, width], 0)
    return { re: memory(), im: this.complex ? memory() : null }
  }

  forward(x: Tensor, state?: GateLoopState, pass?: Pass): Mixed<GateLoopState> {
    const { dModel, dInner, nHeads: H, chunk } = this.options
    const { B, T } = dims('GateLoop.forward x', x, 'B T D', { D: dModel })
    const gaps = gapsOf('GateLoop.forward', pass, B, T)
    const parts = split(this.qkvProj.forward(x), 3, 2).map((part) => reshape(part, [B, T, H, dInner / H]))
    const [q, k, v] = parts as [Tensor, Tensor, Tensor]
    const transition = this.transitions(x)
    if (transition.logDecay) pass?.record?.record('logDecay', transition.logDecay)
    const mixed = gateLoop({ q, k, v, transition, state: state ?? this.initialState(B), gaps }, chunk)
    pass?.record?.record('memory', mixed.state.re)
    let y = reshape(mixed.y, [B, T, dInner])
    if (this.subNorm) y = this.subNorm.forward(y)
    if (this.gProj) y = mul(silu(this.gProj.forward(x)), y)
    return { y: this.outProj ? this.outProj.forward(y) : y, state: mixed.state }
  }

  private transitions(x: Tensor): Transition {
    if (this.aProj === null) return {}
    const { transition, nHeads, gateGradient } = this.options
    const full = this.aProj.forward(x)
    const gate = gateGradient === 1 ? full : add(mul(full, gateGradient), mul(stopGradient(full), 1 - gateGradient))
    if (transition === 'real') return { logDecay: logSigmoid(gate) }
    const [B, T] = x.shape as [number, number]
    const [alpha, beta] = unstack(reshape(gate, [B, T, nHeads, 2]), 3) as [Tensor, Tensor]
    if (transition === 'complex') return { logDecay: logSigmoid(alpha), turn: cosSin({ angle: beta }) }
    // the angle of 0 is not defined; this keeps its gradient finite
    const size = sqrt(add(add(square(alpha), square(beta)), 1e-12))
    return { logDecay: logSigmoid(size), turn: { cos: div(alpha, size), sin: div(beta, size) } }
  }

  stateBytes(): number {
    const { dInner, nHeads } = this.options
    return (4 * (this.complex ? 2 : 1) * dInner ** 2) / nHeads
  }
}
