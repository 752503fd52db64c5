import { Rng } from '@mneme/core-tensor'
import { type Tensor, tensor } from '@tensorflow/tfjs-core'

/** A setting of a lesson. @throws RangeError where the page has left it out */
export function setting(values: Readonly<Record<string, number>>, key: string): number {
  const value = values[key]
  if (value === undefined) throw new RangeError(`lesson: expected a value of '${key}', got none.`)
  return value
}

/** Random vectors of length 1, the same every time; with `overlap` all of them share a direction to that degree. */
export function directions(count: number, width: number, seed: number, overlap = 0): number[][] {
  const rng = new Rng(seed)
  const unit = (): number[] => {
    const v = Array.from({ length: width }, () => rng.normal())
    const length = Math.hypot(...v)
    return v.map((x) => x / length)
  }
  const shared = unit()
  const [a, b] = [Math.sqrt(overlap), Math.sqrt(1 - overlap)]
  return Array.from({ length: count }, () => {
    const mixed = unit().map((x, i) => b * x + a * (shared[i] as number))
    const length = Math.hypot(...mixed)
    return mixed.map((x) => x / length)
  })
}

/** Vectors of tokens as one head, `[1, T, 1, K]`. */
export function oneHead(vectors: readonly (readonly number[])[]): Tensor {
  const width = vectors[0]?.length ?? 0
  return tensor(vectors.flat(), [1, vectors.length, 1, width])
}

/** Cosine of the angle between what was read and what was stored. */
export function likeness(read: ArrayLike<number>, stored: readonly number[]): number {
  let [product, square] = [0, 0]
  for (const [i, x] of stored.entries()) {
    product += x * (read[i] as number)
    square += (read[i] as number) ** 2
  }
  return square === 0 ? 0 : product / Math.sqrt(square) / Math.hypot(...stored)
}
