import { exp4, madd } from './simd'

/** One vector of both passes: Φ(x) and the normal density at x. */
function below4(x: v128, e: v128): v128 {
  // erf(z) = sign(z) (1 - poly(t) e^(-z²)), z = x / √2, which makes z² = x² / 2. Abramowitz and Stegun 1964, 7.1.26
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(<f32>Math.SQRT1_2))
  const t = f32x4.div(f32x4.splat(1), madd(z, f32x4.splat(0.3275911), f32x4.splat(1)))
  let p = madd(t, f32x4.splat(1.061405429), f32x4.splat(-1.453152027))
  p = madd(p, t, f32x4.splat(1.421413741))
  p = madd(p, t, f32x4.splat(-0.284496736))
  p = madd(p, t, f32x4.splat(0.254829592))
  // share beyond |x|, then mirrored for negative x
  const beyond = f32x4.mul(f32x4.mul(f32x4.mul(p, t), e), f32x4.splat(0.5))
  const upper = f32x4.sub(f32x4.splat(1), beyond)
  return v128.bitselect(beyond, upper, f32x4.lt(x, f32x4.splat(0)))
}

function gaussian4(x: v128): v128 {
  return exp4(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)))
}

function gelu4(x: v128): v128 {
  return f32x4.mul(x, below4(x, gaussian4(x)))
}

function slope4(x: v128): v128 {
  const e = gaussian4(x)
  return madd(f32x4.mul(x, f32x4.splat(0.3989422804)), e, below4(x, e))
}

/** y = x Φ(x) for `count` numbers. */
export function gelu(x: usize, y: usize, count: i32): void {
  const bytes: usize = count << 2
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(y + i, gelu4(v128.load(x + i)))
  for (; i < bytes; i += 4) f32.store(y + i, f32x4.extract_lane(gelu4(f32x4.splat(f32.load(x + i))), 0))
}

/** dx = dy (Φ(x) + x φ(x)). */
export function geluBackward(x: usize, dy: usize, dx: usize, count: i32): void {
  const bytes: usize = count << 2
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(dx + i, f32x4.mul(v128.load(dy + i), slope4(v128.load(x + i))))
  for (; i < bytes; i += 4) {
    f32.store(dx + i, f32.load(dy + i) * f32x4.extract_lane(slope4(f32x4.splat(f32.load(x + i))), 0))
  }
}
