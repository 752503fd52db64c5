import { madd, sum4 } from './simd'

/** Sum of products of two rows. */
export function dot(x: usize, y: usize, width: i32): f32 {
  const row = (<usize>width) << 2
  const whole = row & ~15
  let sums = f32x4.splat(0)
  let n: usize = 0
  for (; n < whole; n += 16) sums = madd(v128.load(x + n), v128.load(y + n), sums)
  let total = sum4(sums)
  for (; n < row; n += 4) total += f32.load(x + n) * f32.load(y + n)
  return total
}

/** to += factor * from. */
export function addTimes(to: usize, from: usize, factor: f32, width: i32): void {
  const row = (<usize>width) << 2
  const whole = row & ~15
  const factors = f32x4.splat(factor)
  let n: usize = 0
  for (; n < whole; n += 16) v128.store(to + n, madd(factors, v128.load(from + n), v128.load(to + n)))
  for (; n < row; n += 4) f32.store(to + n, f32.load(to + n) + factor * f32.load(from + n))
}

/** to += from. */
export function addTo(to: usize, from: usize, count: i32): void {
  const row = (<usize>count) << 2
  const whole = row & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)))
  for (; i < row; i += 4) f32.store(to + i, f32.load(to + i) + f32.load(from + i))
}
