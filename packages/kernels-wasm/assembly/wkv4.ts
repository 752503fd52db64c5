import { exp4, loadSome, madd, storeSome } from './simd'

// The state of a token is four rows of `width` numbers: num, den, base and age, with max = base + age w, of which num e^max
// and den e^max are the sums. Adding w to max token by token would lose a small w beside a large max: so what max was when
// it was last set is kept, and how many tokens ago. Wherever two exponentials are weighed, the larger is 1, so that one
// call gives both.

const EMPTY: f32 = -1e38

/** Bytes of a row of vectors: `width` numbers and what fills the last vector. */
export function stride(width: i32): usize {
  return (<usize>((width + 3) & ~3)) << 2
}

/** Bytes of working memory. */
export function wkv4Scratch(width: i32): usize {
  return 5 * stride(width)
}

/** w = -e^decay. */
export function rates(decay: usize, w: usize, width: i32): void {
  for (let i = 0; i < width; i += 4) {
    const lanes = min(4, width - i)
    const x = f32x4.pmin(loadSome(decay + ((<usize>i) << 2), lanes), f32x4.splat(60))
    v128.store(w + ((<usize>i) << 2), f32x4.neg(exp4(x)))
  }
}

/** A row of the state that came in, or of an empty one. */
function begin(from: usize, to: usize, width: i32, empty: f32): void {
  for (let i = 0; i < width; i++) {
    f32.store(to, from === 0 ? empty : f32.load(from))
    to += 4
    if (from !== 0) from += 4
  }
}

export function isSet(flags: usize, token: usize): bool {
  return flags !== 0 && f32.load(flags + (token << 2)) > 0.5
}

/** e^(x - y) where x is the smaller, else 1: the weight of x beside y. The other way round it is that of y. */
export function weight(gap: v128, e: v128): v128 {
  return v128.bitselect(f32x4.splat(1), e, f32x4.ge(gap, f32x4.splat(0)))
}

export function counterweight(gap: v128, e: v128): v128 {
  return v128.bitselect(e, f32x4.splat(1), f32x4.ge(gap, f32x4.splat(0)))
}

export function smaller(gap: v128): v128 {
  return exp4(f32x4.neg(f32x4.abs(gap)))
}

/** How far max, `more` tokens on, lies above an exponent: differences of large numbers first. */
export function gapTo(exponent: v128, w: v128, state: usize, next: usize, more: f32): v128 {
  const age = f32x4.add(v128.load(state + 3 * next), f32x4.splat(more))
  return madd(age, w, f32x4.sub(v128.load(state + 2 * next), exponent))
}

/** y of one token, from the state before it. */
function read(k: usize, v: usize, w: usize, u: usize, state: usize, y: usize, width: i32, next: usize): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const exponent = f32x4.add(loadSome(k + at, lanes), loadSome(u + at, lanes))
    const gap = gapTo(exponent, v128.load(w + at), state + at, next, 0)
    const e = smaller(gap)
    const old = weight(gap, e)
    const recent = counterweight(gap, e)
    const num = madd(old, v128.load(state + at), f32x4.mul(recent, loadSome(v + at, lanes)))
    storeSome(y + at, f32x4.div(num, madd(old, v128.load(state + next + at), recent)), lanes)
  }
}

/** One token into the state: from `state` to `after`, which may be the same. */
export function write(k: usize, v: usize, w: usize, state: usize, after: usize, width: i32, next: usize): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const key = loadSome(k + at, lanes)
    const gap = gapTo(key, v128.load(w + at), state + at, next, 1)
    const e = smaller(gap)
    const old = weight(gap, e)
    const recent = counterweight(gap, e)
    v128.store(after + at, madd(old, v128.load(state + at), f32x4.mul(recent, loadSome(v + at, lanes))))
    v128.store(after + next + at, madd(old, v128.load(state + next + at), recent))
    const older = f32x4.ge(gap, f32x4.splat(0))
    const age = f32x4.add(v128.load(state + 3 * next + at), f32x4.splat(1))
    v128.store(after + 2 * next + at, v128.bitselect(v128.load(state + 2 * next + at), key, older))
    v128.store(after + 3 * next + at, v128.and(age, older))
  }
}

export function empty(state: usize, width: i32, next: usize): void {
  begin(0, state, width, 0)
  begin(0, state + next, width, 0)
  begin(0, state + 2 * next, width, EMPTY)
  memory.fill(state + 3 * next, 0, next)
}

export function load(num: usize, den: usize, max: usize, row: usize, state: usize, width: i32, next: usize): void {
  begin(num === 0 ? 0 : num + row, state, width, 0)
  begin(den === 0 ? 0 : den + row, state + next, width, 0)
  begin(max === 0 ? 0 : max + row, state + 2 * next, width, EMPTY)
  memory.fill(state + 3 * next, 0, next)
}

/** base + age w. */
function maxOf(state: usize, w: usize, to: usize, width: i32, next: usize): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const base = v128.load(state + 2 * next + at)
    storeSome(to + at, madd(v128.load(state + 3 * next + at), v128.load(w + at), base), width - i)
  }
}

/** y [batch, time, width] and the last state, three times [batch, width]; absent inputs are 0. */
export function wkv4(
  k: usize,
  v: usize,
  decay: usize,
  u: usize,
  resets: usize,
  mask: usize,
  num: usize,
  den: usize,
  max: usize,
  y: usize,
  lastNum: usize,
  lastDen: usize,
  lastMax: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  const w = scratch
  const state = scratch + next
  rates(decay, w, width)
  for (let n: usize = 0; n < <usize>batch; n++) {
    load(num, den, max, n * row, state, width, next)
    for (let t: usize = 0; t < <usize>time; t++) {
      const token = n * time + t
      const at = token * row
      if (isSet(resets, token)) empty(state, width, next)
      read(k + at, v + at, w, u, state, y + at, width, next)
      if (mask === 0 || isSet(mask, token)) write(k + at, v + at, w, state, state, width, next)
    }
    memory.copy(lastNum + n * row, state, row)
    memory.copy(lastDen + n * row, state + next, row)
    maxOf(state, w, lastMax + n * row, width, next)
  }
}
