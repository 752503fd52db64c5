import { madd } from './simd'

/**
 * One AdamW update of `count` floats in one pass: m1 = beta1 m + (1 - beta1) g, v1 = beta2 v + (1 - beta2) g^2,
 * p1 = keep p - rate m1 / (rootScale sqrt(v1) + eps), where g is scaled by `gradScale`. The bias corrections are folded
 * into `rate` (lr / (1 - beta1^step)) and `rootScale` (1 / sqrt(1 - beta2^step)); `keep` is 1 - lr weightDecay.
 */
export function adamW(
  p: usize,
  g: usize,
  m: usize,
  v: usize,
  p1: usize,
  m1: usize,
  v1: usize,
  count: i32,
  gradScale: f32,
  beta1: f32,
  oneLessBeta1: f32,
  beta2: f32,
  oneLessBeta2: f32,
  rate: f32,
  rootScale: f32,
  eps: f32,
  keep: f32,
): void {
  const bytes: usize = count << 2
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) {
    const grad = f32x4.mul(v128.load(g + i), f32x4.splat(gradScale))
    const first = madd(v128.load(m + i), f32x4.splat(beta1), f32x4.mul(grad, f32x4.splat(oneLessBeta1)))
    const square = f32x4.mul(f32x4.mul(grad, grad), f32x4.splat(oneLessBeta2))
    const second = madd(v128.load(v + i), f32x4.splat(beta2), square)
    const denominator = madd(f32x4.sqrt(second), f32x4.splat(rootScale), f32x4.splat(eps))
    const update = f32x4.mul(f32x4.splat(rate), f32x4.div(first, denominator))
    v128.store(p1 + i, f32x4.sub(f32x4.mul(v128.load(p + i), f32x4.splat(keep)), update))
    v128.store(m1 + i, first)
    v128.store(v1 + i, second)
  }
  for (; i < bytes; i += 4) {
    const grad = f32.load(g + i) * gradScale
    const first = f32.load(m + i) * beta1 + grad * oneLessBeta1
    const second = f32.load(v + i) * beta2 + grad * grad * oneLessBeta2
    f32.store(p1 + i, f32.load(p + i) * keep - rate * (first / (sqrt<f32>(second) * rootScale + eps)))
    f32.store(m1 + i, first)
    f32.store(v1 + i, second)
  }
}
