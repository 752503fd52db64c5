import {
  affine,
  dims,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
  wholeNumber,
} from '@mneme/core-tensor'
import {
  add,
  concat,
  expandDims,
  fill,
  matMul,
  mul,
  pad,
  relu,
  reshape,
  reverse,
  slice,
  softmax,
  squeeze,
  sub,
  type Tensor,
  tensor2d,
  transpose,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'

/**
 * One hop: a query attends to slots and what it reads is added to it.
 *
 *   p_i = softmax_i(u·m_i),   u' = u + Σ_i p_i c_i
 *
 * u `[..., D]`, keys m and values c `[..., N, D]`, open `[..., N]` 1 where a slot counts. Without `softmax` p_i = u·m_i, as
 * models of this kind start training. Cost 4 N D. Paper: Sukhbaatar et al. 2015, arXiv:1503.08895, section 2.
 */
export function hop(u: Tensor, m: Tensor, c: Tensor, options: { open?: Tensor; softmax?: boolean } = {}): Tensor {
  const { open, softmax: normalised = true } = options
  const scores = squeeze(matMul(m, expandDims(u, -1)), [-1])
  const weights = normalised ? softmax(open ? closing(scores, open) : scores) : open ? mul(scores, open) : scores
  return add(u, squeeze(matMul(expandDims(weights, -2), c), [-2]))
}

/** Scores that leave nothing to slots that are 0. */
const closing = (scores: Tensor, open: Tensor): Tensor => add(scores, mul(sub(open, 1), 1e9))

export interface WindowHopsOptions {
  readonly dModel: number
  readonly hops: number
  /** Tokens that a query sees, its own included. */
  readonly slots: number
  /** `adjacent`: the values of a hop are the keys of the next. `layerwise`: all hops share both, and a map between. */
  readonly tying: 'adjacent' | 'layerwise'
  /** Where hops start: at the token, or at a constant, so that everything comes out of memory. */
  readonly query: 'token' | 'constant'
  /** Whether half of the units go through a ReLU after each hop. */
  readonly halfRelu: boolean
}

export interface WindowHopsState {
  readonly [name: string]: State
  /** The last tokens, `[B, slots - 1, D]`; zeros before the first. */
  readonly past: Tensor
  /** How many of them there are. */
  readonly count: number
}

/**
 * Several hops over the latest tokens: each asks what the one before has found.
 *
 *   m_i = A_k x_{t-i+1} + T^A_{k,i},   c_i = C_k x_{t-i+1} + T^C_{k,i},   i = 1 … N
 *   u ← u + Σ_i softmax_i(u·m_i) c_i   for k = 1 … K,   with `layerwise` tying H u + …
 *
 * Keys and values `[D, D]` without bias, times T `[N, D]` counted from the newest; K + 1 of each where adjacent, two where
 * layerwise. Slots before the first token are left out. State: N − 1 tokens, constant in T. Time O(T K (T + N) D) in products of
 * matrices.
 * Paper: Sukhbaatar et al. 2015, arXiv:1503.08895, sections 2.2 and 5.
 */
export class WindowHops extends Module implements SequenceMixer<WindowHopsState> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly maps: Linear[]
  /** T of each map, `[N, D]`. */
  readonly times: Variable[]
  /** H, where hops share their maps. */
  readonly between: Linear | null

  constructor(
    private readonly options: WindowHopsOptions,
    rng: Rng,
  ) {
    super()
    const { dModel: D, hops, slots, tying } = options
    wholeNumber('WindowHops hops', hops)
    const count = tying === 'adjacent' ? hops + 1 : 2
    this.maps = Array.from({ length: count }, () => new Linear(D, D, rng, { bias: false }))
    this.times = Array.from({ length: count }, () => parameter(normal(rng, [slots, D], 0.1)))
    this.between = tying === 'layerwise' ? new Linear(D, D, rng, { bias: false }) : null
  }

  initialState(batch: number): WindowHopsState {
    const { dModel, slots } = this.options
    return { past: zeros([batch, slots - 1, dModel]), count: 0 }
  }

  forward(x: Tensor, state?: WindowHopsState, pass?: Pass): Mixed<WindowHopsState> {
    const { dModel: D, hops, slots: N, query, halfRelu } = this.options
    const { B, T } = dims('WindowHops.forward x', x, 'B T D', { D })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const { past, count } = state ?? this.initialState(B)
    const tokens = concat([past, x], 1)
    const slots = this.maps.map((map, k) => ({
      tokens: map.forward(tokens),
      // windows are in the order of time, tables from the newest on
      times: reverse(this.times[k] as Variable, 0),
    }))
    const open = openSlots(T, N, count)
    let u: Tensor = query === 'token' ? x : fill([B, T, D], 0.1)
    for (let k = 0; k < hops; k++) {
      const [m, c] = (this.between ? slots : slots.slice(k, k + 2)) as unknown as readonly [Slots, Slots]
      const byTime = affine({ x: u, weight: m.times }).y
      const weights = softmax(closing(add(windowed(matMul(u, m.tokens, false, true), N), byTime), open))
      const among = placed(weights)
      pass?.record?.record('weights', expandDims(among, 1))
      const read = add(matMul(among, c.tokens), affine({ x: weights, weight: transpose(c.times) }).y)
      // with shared maps u itself goes through H; what was read does not
      const next = add(this.between ? this.between.forward(u) : u, read)
      u = halfRelu ? reluOnHalf(next) : next
    }
    pass?.record?.record('read', u)
    return { y: u, state: { past: slice(tokens, [0, T, 0], [B, N - 1, D]), count: Math.min(count + T, N - 1) } }
  }

  stateBytes(): number {
    const { dModel, slots } = this.options
    return 4 * (slots - 1) * dModel
  }
}

interface Slots {
  /** `[B, N − 1 + T, D]` */
  readonly tokens: Tensor
  /** `[N, D]` */
  readonly times: Tensor
}

/** Of values by query and key `[B, T, N − 1 + T]`, those of each query's N latest keys `[B, T, N]`. */
function windowed(x: Tensor, N: number): Tensor {
  const [B, T, S] = x.shape as [number, number, number]
  // with a column more, each row begins one key later than the one before
  const flat = pad(reshape(x, [B, T * S]), [
    [0, 0],
    [0, T],
  ])
  return slice(reshape(flat, [B, T, S + 1]), [0, 0, 0], [B, T, N])
}

/** The way back: values of N latest keys `[B, T, N]` at their places among all, `[B, T, N − 1 + T]`. */
function placed(x: Tensor): Tensor {
  const [B, T, N] = x.shape as [number, number, number]
  const wide = pad(x, [
    [0, 0],
    [0, 0],
    [0, T],
  ])
  const S = N - 1 + T
  return reshape(slice(reshape(wide, [B, T * (S + 1)]), [0, 0], [B, T * S]), [B, T, S])
}

/** 1 where a slot holds a token, in the order of time: `[T, N]`. */
function openSlots(T: number, N: number, count: number): Tensor {
  return tensor2d(
    Float32Array.from({ length: T * N }, (_, j) => (N - 1 - (j % N) <= count + Math.floor(j / N) ? 1 : 0)),
    [T, N],
  )
}

function reluOnHalf(u: Tensor): Tensor {
  const D = u.shape[2] as number
  const half = Math.floor(D / 2)
  return concat([slice(u, [0, 0, 0], [-1, -1, D - half]), relu(slice(u, [0, 0, D - half], [-1, -1, half]))], 2)
}
