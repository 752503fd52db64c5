import { madd, sum4 } from './simd'

/** Sum of the squares of `count` numbers; four partial sums of every 4,096, added up in double precision. */
export function squaredNorm(x: usize, out: usize, count: i32): void {
  const bytes: usize = count << 2
  const whole = bytes & ~15
  let total: f64 = 0
  let i: usize = 0
  while (i < whole) {
    const end = min(whole, i + 16384)
    let part = f32x4.splat(0)
    for (; i < end; i += 16) {
      const v = v128.load(x + i)
      part = madd(v, v, part)
    }
    total += <f64>sum4(part)
  }
  for (; i < bytes; i += 4) total += <f64>f32.load(x + i) * <f64>f32.load(x + i)
  f32.store(out, <f32>total)
}
