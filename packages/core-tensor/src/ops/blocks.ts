import { add, concat, slice, type Tensor, tidy, zeros } from '@tensorflow/tfjs-core'

/** Consecutive entries of an axis. */
export interface Span {
  readonly begin: number
  readonly size: number
}

/** Consecutive pieces of at most `size`. */
export function spans(length: number, size: number): Span[] {
  return Array.from({ length: Math.ceil(length / size) }, (_, n) => ({
    begin: n * size,
    size: Math.min(size, length - n * size),
  }))
}

/** A slice of one axis. */
export function pieceOf(x: Tensor, { begin, size }: Span, axis: number): Tensor {
  if (size === x.shape[axis]) return x
  const [from, shape] = [x.shape.map(() => 0), [...x.shape]]
  from[axis] = begin
  shape[axis] = size
  return slice(x, from, shape)
}

/** Pieces put together along an axis; one alone is given back as it is. */
export function joined(pieces: readonly Tensor[], axis: number): Tensor {
  return pieces.length === 1 ? (pieces[0] as Tensor) : concat([...pieces], axis)
}

/** Pieces put together along an axis, each turned as it is to be; they are used up one by one. */
export function assembled(pieces: readonly Tensor[], turn: (piece: Tensor) => Tensor, axis: number): Tensor {
  const turned = pieces.map((piece) => {
    const result = tidy(() => turn(piece))
    piece.dispose()
    return result
  })
  const whole = joined(turned, axis)
  if (turned.length > 1) for (const used of turned) used.dispose()
  return whole
}

/** Sums under names; what is added is used up. */
export class Sums {
  private readonly sums = new Map<string, Tensor>()

  add(terms: Readonly<Record<string, Tensor>>): void {
    for (const [name, term] of Object.entries(terms)) {
      const before = this.sums.get(name)
      this.sums.set(name, before === undefined ? term : tidy(() => add(before, term)))
      if (before === undefined) continue
      before.dispose()
      term.dispose()
    }
  }

  /** Zeros where nothing was added. */
  get(name: string, shape: readonly number[]): Tensor {
    return this.sums.get(name) ?? zeros([...shape])
  }
}
