import { exp1, exp4, log1, max4, sum4 } from './simd'

/** Floats that are searched for a maximum, and then summed while they are still in the first-level cache. */
const BLOCK: usize = 1024
/** Stands for the maximum of a row of masked logits, where -Infinity less -Infinity would be NaN. */
export const LOWEST: f32 = -3.4028234663852886e38

/** The greatest number of a row; a NaN is passed over here, and shows in the sum. */
export function rowMax(x: usize, bytes: usize): f32 {
  const whole = bytes & ~15
  let highest = f32x4.splat(LOWEST)
  let i: usize = 0
  for (; i < whole; i += 16) highest = f32x4.pmax(highest, v128.load(x + i))
  let top = max4(highest)
  for (; i < bytes; i += 4) {
    const value = f32.load(x + i)
    if (value > top) top = value
  }
  return top
}

export function sumExp(x: usize, bytes: usize, top: f32): f32 {
  const whole = bytes & ~15
  const top4 = f32x4.splat(top)
  let sums = f32x4.splat(0)
  let i: usize = 0
  for (; i < whole; i += 16) sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(x + i), top4)))
  let total = sum4(sums)
  for (; i < bytes; i += 4) total += exp1(f32.load(x + i) - top)
  return total
}

/**
 * nll[n] = log sum_v exp(x[n, v]) - x[n, target[n]] on [count, width]. Reads memory once: the maximum so far moves on
 * block by block, and the sum is rescaled when it does. A target outside [0, width) counts 0, as a one-hot row would.
 */
export function crossEntropy(logits: usize, targets: usize, nll: usize, count: i32, width: i32): void {
  const row: usize = width << 2
  for (let n: usize = 0; n < <usize>count; n++) {
    const x = logits + n * row
    const target = i32.load(targets + (n << 2))
    let top = LOWEST
    let total: f32 = 0
    for (let i: usize = 0; i < row; i += BLOCK << 2) {
      const bytes = min<usize>(BLOCK << 2, row - i)
      const highest = rowMax(x + i, bytes)
      if (highest > top) {
        total *= exp1(top - highest)
        top = highest
      }
      total += sumExp(x + i, bytes, top)
    }
    const chosen = <u32>target < <u32>width
    const at = x + ((<usize>target) << 2)
    f32.store(nll + (n << 2), chosen ? <f32>log1(total) + (top - f32.load(at)) : 0)
  }
}

/**
 * dx = dy (softmax(x) - onehot(target)). The normaliser comes back from the saved nll, so each row needs its maximum
 * and then one pass of exponentials.
 */
export function crossEntropyBackward(
  logits: usize,
  targets: usize,
  nll: usize,
  dy: usize,
  dx: usize,
  count: i32,
  width: i32,
): void {
  const row: usize = width << 2
  const whole = row & ~15
  for (let n: usize = 0; n < <usize>count; n++) {
    const x = logits + n * row
    const out = dx + n * row
    const scale = f32.load(dy + (n << 2))
    const target = i32.load(targets + (n << 2))
    const chosen = <u32>target < <u32>width
    const at = (<usize>target) << 2
    const top = rowMax(x, row)
    const logTotal = chosen ? f32.load(nll + (n << 2)) - (top - f32.load(x + at)) : <f32>log1(sumExp(x, row, top))
    const top4 = f32x4.splat(top)
    const logTotal4 = f32x4.splat(logTotal)
    const scale4 = f32x4.splat(scale)
    let i: usize = 0
    for (; i < whole; i += 16) {
      const exponent = f32x4.sub(f32x4.sub(v128.load(x + i), top4), logTotal4)
      v128.store(out + i, f32x4.mul(scale4, exp4(exponent)))
    }
    for (; i < row; i += 4) f32.store(out + i, scale * exp1(f32.load(x + i) - top - logTotal))
    if (chosen) f32.store(out + at, f32.load(out + at) - scale)
  }
}
