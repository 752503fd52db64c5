import { expandDims, gather, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { rotary } from '../ops/rotary.js'

export interface RotaryOptions {
  /** Features turned, an even number up to the head width. */
  readonly dims: number
  readonly base?: number
  /** Angles from one position to the next, one a pair of features, in place of those that `base` gives. */
  readonly frequencies?: readonly number[]
  readonly layout?: 'half' | 'interleaved'
  /** Of each of those angles, another: how published checkpoints reach beyond the trained length. */
  readonly stretch?: ((frequency: number) => number) | null
}

/** Rotary positions: has no parameters; the angles of a span of positions are computed on the CPU in float64. */
export class Rotary {
  private readonly frequencies: Float64Array
  private readonly layout: 'half' | 'interleaved'

  constructor({ dims, base = 10000, frequencies, layout = 'half', stretch = null }: RotaryOptions) {
    if (dims < 2 || dims % 2 !== 0)
      throw new RangeError(`Rotary dims: expected an even number, at least 2, got ${dims}.`)
    this.layout = layout
    this.frequencies = Float64Array.from({ length: dims / 2 }, (_, m) => {
      const frequency = frequencies?.[m] ?? base ** ((-2 * m) / dims)
      return stretch ? stretch(frequency) : frequency
    })
  }

  /** Turns x `[B, T, H, K]`, whose first token stands at `position` in every row. */
  forward(x: Tensor, position: number): Tensor {
    const { cos, sin } = this.angles(x, position, x.shape[1] as number)
    return rotary({ x, cos: expandDims(cos, 0), sin: expandDims(sin, 0) }, { layout: this.layout }).y
  }

  /** Turns x by positions of its own for each row, int32 `[B, T]` in [0, limit). */
  forwardAt(x: Tensor, positions: Tensor, limit: number): Tensor {
    const { cos, sin } = this.angles(x, 0, limit)
    return rotary({ x, cos: gather(cos, positions), sin: gather(sin, positions) }, { layout: this.layout }).y
  }

  /** `[T, R]` each, for heads of x. @throws RangeError where these have fewer features than are turned */
  private angles(x: Tensor, position: number, T: number): { cos: Tensor; sin: Tensor } {
    const R = this.frequencies.length
    const K = x.shape[3] as number
    if (2 * R > K) throw new RangeError(`Rotary dims: expected at most the head width ${K}, got ${2 * R}.`)
    const cos = new Float32Array(T * R)
    const sin = new Float32Array(T * R)
    for (let t = 0; t < T; t++) {
      for (let m = 0; m < R; m++) {
        const angle = (position + t) * (this.frequencies[m] as number)
        cos[t * R + m] = Math.cos(angle)
        sin[t * R + m] = Math.sin(angle)
      }
    }
    return { cos: tensor2d(cos, [T, R]), sin: tensor2d(sin, [T, R]) }
  }
}

/**
 * Heads `[B, T, H, K]` turned to where their tokens stand: from `position` on, or, where rows differ, at `positions`
 * below position + T, int32 `[B, T]`. As they are without rotary positions.
 */
export function turnedAt(rotary: Rotary | null, heads: Tensor, position: number, positions: Tensor | null): Tensor {
  if (rotary === null) return heads
  if (positions === null) return rotary.forward(heads, position)
  return rotary.forwardAt(heads, positions, position + (heads.shape[1] as number))
}
