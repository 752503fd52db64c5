import { add, cast, concat, expandDims, greater, pad, reshape, slice, type Tensor, tile } from '@tensorflow/tfjs-core'

/** `[B, T, D]` moved `span` tokens later, 0 < span < T; what comes in at the start is `filled`. */
export function delayed(x: Tensor, span: number, filled = 0): Tensor {
  const [B, T, D] = x.shape as [number, number, number]
  const paddings: [number, number][] = [
    [0, 0],
    [span, 0],
    [0, 0],
  ]
  return pad(slice(x, [0, 0, 0], [B, T - span, D]), paddings, filled)
}

/** Shifts along time by one token: what stood before t (or after it, when `backwards`), with `first` at the open end. */
export function shifted(x: Tensor, first: Tensor, backwards = false): Tensor {
  const [B, T, D] = x.shape as [number, number, number]
  const edge = reshape(first, [B, 1, D])
  if (T === 1) return edge
  return backwards
    ? concat([slice(x, [0, 1, 0], [B, T - 1, D]), edge], 1)
    : concat([edge, slice(x, [0, 0, 0], [B, T - 1, D])], 1)
}

/** One token of `[B, T, D]`, as `[B, D]`. */
export function tokenAt(x: Tensor, t: number): Tensor {
  const [B, , D] = x.shape as [number, number, number]
  return reshape(slice(x, [0, t, 0], [B, 1, D]), [B, D])
}

/** What is kept of earlier tokens, null where there are none, and what comes now, along time. `[B, T, ...]` */
export function extended(before: Tensor | null, now: Tensor): Tensor {
  return before === null ? now : concat([before, now], 1)
}

/** The same for every row of a batch: `[...]` to `[B, ...]`. */
export function everyRow(x: Tensor, B: number): Tensor {
  return tile(expandDims(x, 0), [B, ...x.shape.map(() => 1)])
}

/** Adds `first` `[B, D]` to the first token of `[B, T, D]`. */
export function startingWith(x: Tensor, first: Tensor): Tensor {
  const [B, T, D] = x.shape as [number, number, number]
  const begun = reshape(first, [B, 1, D])
  const whole =
    T === 1
      ? begun
      : pad(begun, [
          [0, 0],
          [0, T - 1],
          [0, 0],
        ])
  return add(x, whole)
}

/** `[B, T]` to zeros and ones `[B, T, 1]`, which are constants. */
export function flags(x: Tensor): Tensor {
  return expandDims(cast(greater(x, 0.5), 'float32'), 2)
}
