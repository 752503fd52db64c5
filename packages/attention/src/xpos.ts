import { rotary } from '@mneme/core-tensor'
import { type Tensor, tensor3d } from '@tensorflow/tfjs-core'

/**
 * Rotary positions whose products fall with the distance: queries at p are multiplied by ζ^((p − c) / s), keys by its
 * inverse, ζ_m = (2m + 0.4 K) / (1.4 K) for pair m. Only the difference of positions shows in a product. Heads
 * `[B, T, H, K]`, time O(T H K).
 * Sun et al. 2022, arXiv:2212.10554, section 2.
 */
export class XPos {
  /** @param centre c, the position at which neither is scaled */
  constructor(
    private readonly dHead: number,
    private readonly centre: number,
    private readonly spread = 512,
    private readonly base = 10000,
  ) {
    if (dHead % 2 !== 0) throw new RangeError(`XPos dHead: expected an even number, got ${dHead}.`)
  }

  /** Turns and scales `[B, T, H, K]`, whose first token stands at `position`. */
  queries(x: Tensor, position: number): Tensor {
    return this.turned(x, position, 1)
  }

  /** Keys turned and scaled by their positions, the inverse of what queries get. */
  keys(x: Tensor, position: number): Tensor {
    return this.turned(x, position, -1)
  }

  private turned(x: Tensor, position: number, sign: 1 | -1): Tensor {
    const T = x.shape[1] as number
    const R = this.dHead / 2
    const cos = new Float32Array(T * R)
    const sin = new Float32Array(T * R)
    for (let t = 0; t < T; t++) {
      const power = (sign * (position + t - this.centre)) / this.spread
      for (let m = 0; m < R; m++) {
        const size = ((2 * m + 0.4 * this.dHead) / (1.4 * this.dHead)) ** power
        const angle = (position + t) * this.base ** (-m / R)
        cos[t * R + m] = size * Math.cos(angle)
        sin[t * R + m] = size * Math.sin(angle)
      }
    }
    const shape: [number, number, number] = [1, T, R]
    return rotary({ x, cos: tensor3d(cos, shape), sin: tensor3d(sin, shape) }, { layout: 'half' }).y
  }
}
