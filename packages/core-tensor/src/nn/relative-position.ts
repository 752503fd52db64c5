import { pad, reshape, slice, type Tensor, tensor2d } from '@tensorflow/tfjs-core'

/** Sines, then cosines, of places, `[places, D]`: [sin(p ω), cos(p ω)], ω_m = 10000^(-2m/D). arXiv:1706.03762, section 3.5. */
export function sinusoids(places: readonly number[], D: number): Tensor {
  const half = D / 2
  const values = new Float32Array(places.length * D)
  for (const [j, place] of places.entries()) {
    for (let m = 0; m < half; m++) {
      const angle = place * 10000 ** ((-2 * m) / D)
      values[j * D + m] = Math.sin(angle)
      values[j * D + half + m] = Math.cos(angle)
    }
  }
  return tensor2d(values, [places.length, D])
}

/**
 * Sinusoids of the distances S-1 down to 0, `[S, D]`. Distances beyond `clamp` count as that; 0 for none.
 * Source: Dai et al. 2019, arXiv:1901.02860, section 3.3.
 */
export function distanceWaves(S: number, D: number, clamp = 0): Tensor {
  const distances = Array.from({ length: S }, (_, j) => (clamp > 0 ? Math.min(S - 1 - j, clamp) : S - 1 - j))
  return sinusoids(distances, D)
}

/**
 * Scores by distance as scores by key, both `[B, H, T, S]`: column c of the first holds distance S-1-c, whichever the
 * query; the last of the T queries stands at the last of the S keys. Keys ahead of a query hold no meaning.
 */
export function shiftedByQuery(byDistance: Tensor): Tensor {
  const [B, H, T, S] = byDistance.shape as [number, number, number, number]
  // a row starts one column further left for each query that follows it
  const padded = pad(byDistance, [
    [0, 0],
    [0, 0],
    [0, 0],
    [1, 0],
  ])
  // one long row a head: backends copy it at once
  return reshape(slice(reshape(padded, [B * H, (S + 1) * T]), [0, T], [B * H, S * T]), [B, H, T, S])
}
