import { madd, sum4 } from './simd'

/** 1 / sqrt(mean(x^2) + eps) of one row of `row` bytes. */
function inverseRms(x: usize, row: usize, eps: f32): f32 {
  const whole = row & ~15
  let squares = f32x4.splat(0)
  let i: usize = 0
  for (; i < whole; i += 16) {
    const v = v128.load(x + i)
    squares = madd(v, v, squares)
  }
  let total = sum4(squares)
  for (; i < row; i += 4) total += f32.load(x + i) * f32.load(x + i)
  return <f32>1 / sqrt<f32>(total / <f32>(row >> 2) + eps)
}

/** y = x / rms(x) * weight on [count, width]; `weight` [width] or 0. */
export function rmsNorm(x: usize, weight: usize, y: usize, count: i32, width: i32, eps: f32): void {
  const row: usize = width << 2
  const whole = row & ~15
  for (let n = 0; n < count; n++) {
    const r = inverseRms(x, row, eps)
    const r4 = f32x4.splat(r)
    let i: usize = 0
    if (weight === 0) {
      for (; i < whole; i += 16) v128.store(y + i, f32x4.mul(v128.load(x + i), r4))
      for (; i < row; i += 4) f32.store(y + i, f32.load(x + i) * r)
    } else {
      for (; i < whole; i += 16) {
        v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), r4), v128.load(weight + i)))
      }
      for (; i < row; i += 4) f32.store(y + i, f32.load(x + i) * r * f32.load(weight + i))
    }
    x += row
    y += row
  }
}

/**
 * With g = dy * weight and u = x / rms(x): dx = (g - u mean(g u)) / rms(x), and dweight = sum over rows of dy * u.
 * `weight` and `dweight` are both 0 or both not.
 */
export function rmsNormBackward(
  x: usize,
  weight: usize,
  dy: usize,
  dx: usize,
  dweight: usize,
  count: i32,
  width: i32,
  eps: f32,
): void {
  const row: usize = width << 2
  const whole = row & ~15
  if (dweight !== 0) memory.fill(dweight, 0, row)
  for (let n = 0; n < count; n++) {
    const r = inverseRms(x, row, eps)
    const projection = (weightedDot(x, weight, dy, row) * r * r) / <f32>width
    const r4 = f32x4.splat(r)
    const projection4 = f32x4.splat(projection)
    let i: usize = 0
    for (; i < whole; i += 16) {
      const v = v128.load(x + i)
      const d = v128.load(dy + i)
      const g = weight === 0 ? d : f32x4.mul(d, v128.load(weight + i))
      v128.store(dx + i, f32x4.mul(r4, f32x4.sub(g, f32x4.mul(v, projection4))))
      if (dweight !== 0) v128.store(dweight + i, madd(d, f32x4.mul(v, r4), v128.load(dweight + i)))
    }
    for (; i < row; i += 4) {
      const v = f32.load(x + i)
      const d = f32.load(dy + i)
      const g = weight === 0 ? d : d * f32.load(weight + i)
      f32.store(dx + i, r * (g - v * projection))
      if (dweight !== 0) f32.store(dweight + i, f32.load(dweight + i) + d * v * r)
    }
    x += row
    dy += row
    dx += row
  }
}

/** sum of x * dy * weight over one row. */
function weightedDot(x: usize, weight: usize, dy: usize, row: usize): f32 {
  const whole = row & ~15
  let sums = f32x4.splat(0)
  let i: usize = 0
  for (; i < whole; i += 16) {
    const product = f32x4.mul(v128.load(x + i), v128.load(dy + i))
    sums = weight === 0 ? f32x4.add(sums, product) : madd(product, v128.load(weight + i), sums)
  }
  let total = sum4(sums)
  for (; i < row; i += 4) {
    const product = f32.load(x + i) * f32.load(dy + i)
    total += weight === 0 ? product : product * f32.load(weight + i)
  }
  return total
}
