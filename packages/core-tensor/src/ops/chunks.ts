import { pad, reshape, slice, type Tensor, transpose } from '@tensorflow/tfjs-core'

/** Of an op that reads a matrix state chunk by chunk. */
export interface ChunkAttrs {
  /** Tokens handled by one block of matrix products, rounded up to a power of two. Changes cost, not results. */
  readonly chunk: number
  /** Multiplies q; 0 means K^-1/2. */
  readonly scale: number
}

/** What is read, and the state after the last token. */
export interface StateOutputs {
  readonly o: Tensor
  readonly state: Tensor
}

/** `[B, T, H, W]` to `[B H, n, C, W]`, padded with zeros, which leave a state alone. */
export function chunked(x: Tensor, n: number, C: number): Tensor {
  const [B, T, H, W] = x.shape as [number, number, number, number]
  const padded =
    n * C === T
      ? x
      : pad(x, [
          [0, 0],
          [0, n * C - T],
          [0, 0],
          [0, 0],
        ])
  return reshape(transpose(padded, [0, 2, 1, 3]), [B * H, n, C, W])
}

/** The way back: values of all chunks in order, of any shape that ends in W, to `[B, T, H, W]` without the padding. */
export function unchunked(x: Tensor, T: number, H: number): Tensor {
  const W = x.shape.at(-1) as number
  const [N, padded] = [x.shape[0] as number, x.size / W / (x.shape[0] as number)]
  const rows = reshape(x, [N / H, H, padded, W])
  return transpose(padded === T ? rows : slice(rows, [0, 0, 0, 0], [N / H, H, T, W]), [0, 2, 1, 3])
}

/** First and second half of every block of rows: `[P, 2 s, W]`, or any shape of as many values, to twice `[P, s, W]`. */
export function halves(x: Tensor, P: number, s: number): [first: Tensor, second: Tensor] {
  const W = x.size / (2 * P * s)
  const blocks = reshape(x, [P, 2 * s, W])
  return [slice(blocks, [0, 0, 0], [P, s, W]), slice(blocks, [0, s, 0], [P, s, W])]
}
