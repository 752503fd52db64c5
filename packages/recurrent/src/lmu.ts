import {
  affine,
  constant,
  delayed,
  dims,
  type Gaps,
  gapsOf,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  parameter,
  type Rng,
  relu,
  type SequenceMixer,
  startingWith,
  tokenAt,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  concat,
  cumsum,
  equal,
  expandDims,
  matMul,
  mul,
  range,
  slice,
  sub,
  type Tensor,
  tensor2d,
  type Variable,
} from '@tensorflow/tfjs-core'

export interface LmuOptions {
  readonly dModel: number
  /** Width of the outputs. */
  readonly dHidden: number
  /** M, polynomials that the window is kept as. */
  readonly dMemory: number
  /** θ, tokens that the memory looks back over. */
  readonly window: number
}

/**
 * Legendre memory unit, in its parallel form: one signal made of each token, of which the memory keeps the last θ tokens
 * as M Legendre polynomials.
 *
 *   u_t = relu(w · x_t + b),   m_t = A m_{t-1} + B u_t,   h_t = relu(W [m_t, x_t] + c)
 *
 * A `[M, M]` and B `[M, 1]` are not trained: they delay a signal by up to θ, held over steps of one token. State m
 * `[B, M]`, constant in T. A is dense, so powers of it are doubled: log T rounds of products, O(T M² log T); decoding
 * O(M²). With padding or packed documents also O(T²): tokens are moved together first.
 * Paper: Liu et al. 2024, arXiv:2402.04882, section 3; Chilkuri and Eliasmith 2021, arXiv:2102.11417, section 3.
 * Differs: doubling stands for the convolution by FFT, which it equals, at any length.
 */
export class LMU extends Module implements SequenceMixer<Tensor> {
  readonly traits: MixerTraits = { causal: true, padding: true, constantState: true }
  readonly uProj: Linear
  /** Of memory, then token. */
  readonly hProj: Linear
  /** A of the paper. */
  readonly transition: Variable
  /** B of the paper. */
  readonly input: Variable

  constructor(
    private readonly options: LmuOptions,
    rng: Rng,
  ) {
    super()
    const { dModel, dHidden, dMemory: M, window } = options
    this.uProj = new Linear(dModel, 1, rng)
    this.hProj = new Linear(M + dModel, dHidden, rng)
    const { A, B } = legendreDelay(M, window)
    this.transition = parameter(tensor2d(Float32Array.from(A.flatMap((row) => [...row])), [M, M]), false)
    this.input = parameter(tensor2d(Float32Array.from(B), [M, 1]), false)
  }

  initialState(batch: number): Tensor {
    return constant([batch, this.options.dMemory], 0)
  }

  forward(x: Tensor, state?: Tensor, pass?: Pass): Mixed<Tensor> {
    const { B, T } = dims('LMU.forward x', x, 'B T D', { D: this.options.dModel })
    const gaps = gapsOf('LMU.forward', pass, B, T)
    const u = relu(this.uProj.forward(x)) // [B, T, 1]
    const before = state ?? this.initialState(B)
    const m = gaps === null ? this.memories(u, before, null) : this.memoriesOverGaps(u, before, gaps)
    pass?.record?.record('memory', m)
    return { y: relu(this.hProj.forward(concat([m, x], 2))), state: tokenAt(m, T - 1) }
  }

  /** `[B, T, M]` from the signal `[B, T, 1]`; `starts` of that shape is 1 where a token starts from an empty memory. */
  private memories(u: Tensor, before: Tensor, starts: Tensor | null): Tensor {
    const T = u.shape[1] as number
    let open = starts && sub(1, starts)
    const carried = affine({ x: before, weight: this.transition }).y
    let m = affine({ x: u, weight: this.input }).y
    m = startingWith(m, open ? mul(carried, tokenAt(open, 0)) : carried)
    let power: Tensor = this.transition
    for (let span = 1; span < T; span *= 2) {
      const earlier = affine({ x: delayed(m, span), weight: power }).y
      m = add(m, open ? mul(earlier, open) : earlier)
      if (2 * span >= T) break
      power = matMul(power, power)
      open = open && mul(open, delayed(open, span))
    }
    return m
  }

  /** Padding would be skipped by another power of A for every pair of tokens; so tokens are moved together instead. */
  private memoriesOverGaps(u: Tensor, before: Tensor, { tokens, starts }: Gaps): Tensor {
    const [B, T] = u.shape as [number, number, number]
    // of each position, how many tokens there are up to it, as a row of zeros and a one
    const count = cast(equal(expandDims(cumsum(tokens, 1), 2), range(0, T + 1, 1, 'float32')), 'float32') // [B, T, T + 1]
    const together = (y: Tensor): Tensor =>
      slice(matMul(count, mul(y, expandDims(tokens, 2)), true, false), [0, 1, 0], [B, T, 1])
    const m = this.memories(together(u), before, together(expandDims(starts, 2)))
    return matMul(count, concat([expandDims(before, 1), m], 1))
  }

  stateBytes(): number {
    return 4 * this.options.dMemory
  }
}

/**
 * The delay line of M Legendre polynomials over a window of θ tokens, held over steps of one token, in float64:
 * `A = e^F`, `B = F⁻¹ (e^F − I) G` with `F_ij = (2i + 1)/θ · (−1 if i < j, else (−1)^{i−j+1})`, `G_i = (2i + 1)/θ · (−1)^i`.
 * Source: Voelker et al. 2019, Legendre Memory Units, section 2.1.
 */
export function legendreDelay(M: number, window: number): { A: Float64Array[]; B: Float64Array } {
  const entry = (i: number, j: number): number => {
    if (i === M) return 0
    const sign = j === M ? (-1) ** i : i < j ? -1 : (-1) ** (i - j + 1)
    return ((2 * i + 1) / window) * sign
  }
  // e^[[F, G], [0, 0]] = [[A, B], [0, 1]]
  const held = matrixExp(
    Array.from({ length: M + 1 }, (_, i) => Float64Array.from({ length: M + 1 }, (_, j) => entry(i, j))),
  )
  return {
    A: held.slice(0, M).map((row) => row.slice(0, M)),
    B: Float64Array.from(held.slice(0, M), (row) => row[M] as number),
  }
}

/**
 * Legendre polynomials P_0 to P_{M-1} at x in [-1, 1], by which a memory is read back: `u(t − rθ) ≈ Σ_i P_i(2r − 1) m_i`
 * for the signal so long ago, r in [0, 1].
 */
export function legendre(M: number, x: number): number[] {
  const P = [1, x]
  for (let n = 1; n < M - 1; n++) {
    P.push(((2 * n + 1) * x * (P[n] as number) - n * (P[n - 1] as number)) / (n + 1))
  }
  return P.slice(0, M)
}

/** e^F by its series for F / 2^s, squared s times. */
function matrixExp(matrix: readonly Float64Array[]): Float64Array[] {
  const size = Math.max(...matrix.map((row) => row.reduce((sum, value) => sum + Math.abs(value), 0)))
  const squarings = Math.max(0, Math.ceil(Math.log2(size)) + 1)
  const scaled = matrix.map((row) => row.map((value) => value / 2 ** squarings))
  let sum: Float64Array[] = matrix.map((_, i) => Float64Array.from(matrix, (_, j) => (i === j ? 1 : 0)))
  let term = sum
  for (let k = 1; k <= 16; k++) {
    term = product(term, scaled).map((row) => row.map((value) => value / k))
    sum = sum.map((row, i) => row.map((value, j) => value + (term[i]?.[j] as number)))
  }
  for (let s = 0; s < squarings; s++) sum = product(sum, sum)
  return sum
}

function product(a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array[] {
  return a.map((row) => {
    const out = new Float64Array(row.length)
    for (const [k, factor] of row.entries()) {
      const other = b[k] as Float64Array
      for (let j = 0; j < out.length; j++) out[j] = (out[j] as number) + factor * (other[j] as number)
    }
    return out
  })
}
