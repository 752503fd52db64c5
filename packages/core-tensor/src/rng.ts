/**
 * A seeded 32-bit generator (sfc32, seeded by splitmix32) that gives the same numbers in every engine and on every
 * backend: initial weights, batches, dropout masks and sampling all draw from it, on the CPU.
 *
 * Source: Doty-Humphrey, PractRand (sfc32); Steele et al. 2014, OOPSLA (splitmix).
 */
export class Rng {
  private a: number
  private b: number
  private c: number
  private d: number
  private spare: number | null = null

  constructor(seed: number) {
    if (!Number.isInteger(seed)) throw new RangeError(`Rng: expected an integer seed, got ${seed}.`)
    const next = splitmix32(seed)
    this.a = next()
    this.b = next()
    this.c = next()
    this.d = 1
    for (let i = 0; i < 12; i++) this.uint32()
  }

  /** The next raw draw, an integer in [0, 2^32). */
  uint32(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + t) | 0
    return t >>> 0
  }

  /** Uniform in [0, 1), with 32 bits. */
  uniform(): number {
    return this.uint32() / 4294967296
  }

  /** Uniform integer in [low, high), half open. */
  int(low: number, high: number): number {
    if (!(high > low)) throw new RangeError(`Rng.int: expected low < high, got [${low}, ${high}).`)
    return low + Math.floor(this.uniform() * (high - low))
  }

  /** Standard normal, by Box and Muller; the second draw of each pair is kept for the next call. */
  normal(): number {
    if (this.spare !== null) {
      const kept = this.spare
      this.spare = null
      return kept
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** An independent generator for a named purpose, so that adding a draw in one place moves no other. */
  fork(purpose: string): Rng {
    let hash = 2166136261
    for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 16777619)
    return new Rng((hash ^ this.uint32()) | 0)
  }

  /** The whole state as plain numbers; `Rng.restore` continues exactly here. */
  save(): RngState {
    return [this.a, this.b, this.c, this.d, this.spare]
  }

  /** A generator that goes on where one was saved. */
  static restore(state: RngState): Rng {
    const rng = new Rng(0)
    ;[rng.a, rng.b, rng.c, rng.d, rng.spare] = state
    return rng
  }
}

export type RngState = readonly [a: number, b: number, c: number, d: number, spare: number | null]

/** Shuffles in place (Fisher and Yates) and returns the same array. */
export function shuffle<T extends unknown[] | Int32Array>(rng: Rng, items: T): T {
  for (let i = items.length - 1; i > 0; i--) swap(items, i, rng.int(0, i + 1))
  return items
}

/** `count` distinct integers of [low, high), by a partial shuffle. */
export function choice(rng: Rng, low: number, high: number, count: number): number[] {
  const size = high - low
  if (count > size) throw new RangeError(`choice: ${count} distinct values asked of ${size}.`)
  const pool = Array.from({ length: size }, (_, i) => low + i)
  for (let i = 0; i < count; i++) swap(pool, i, rng.int(i, size))
  return pool.slice(0, count)
}

function swap(items: unknown[] | Int32Array, i: number, j: number): void {
  const kept = items[i] as never
  items[i] = items[j] as never
  items[j] = kept
}

function splitmix32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = state ^ (state >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return (z ^ (z >>> 15)) | 0
  }
}
