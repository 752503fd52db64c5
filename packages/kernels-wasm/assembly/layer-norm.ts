import { loadSome, madd, storeSome, sum4 } from './simd'

/** The mean of one row. */
function meanOf(x: usize, width: i32): f32 {
  let sums = f32x4.splat(0)
  for (let i = 0; i < width; i += 4) sums = f32x4.add(sums, loadSome(x + ((<usize>i) << 2), width - i))
  return sum4(sums) / <f32>width
}

/** 1 / sqrt(variance + eps) of one row, of differences from the mean: no squares of large numbers are subtracted. */
function inverseDeviation(x: usize, mean: f32, width: i32, eps: f32): f32 {
  const whole = width & ~3
  let sums = f32x4.splat(0)
  let i = 0
  for (; i < whole; i += 4) {
    const centred = f32x4.sub(v128.load(x + ((<usize>i) << 2)), f32x4.splat(mean))
    sums = madd(centred, centred, sums)
  }
  let total = sum4(sums)
  for (; i < width; i++) {
    const centred = f32.load(x + ((<usize>i) << 2)) - mean
    total += centred * centred
  }
  return <f32>1 / sqrt<f32>(total / <f32>width + eps)
}

/** y = (x - mean) / deviation * weight + bias on [count, width]; `weight` and `bias` [width] or 0. */
export function layerNorm(x: usize, weight: usize, bias: usize, y: usize, count: i32, width: i32, eps: f32): void {
  const row = (<usize>width) << 2
  for (let n = 0; n < count; n++) {
    const mean = meanOf(x, width)
    const inverse = f32x4.splat(inverseDeviation(x, mean, width, eps))
    for (let i = 0; i < width; i += 4) {
      const at = (<usize>i) << 2
      const lanes = width - i
      let normed = f32x4.mul(f32x4.sub(loadSome(x + at, lanes), f32x4.splat(mean)), inverse)
      if (weight !== 0) normed = f32x4.mul(normed, loadSome(weight + at, lanes))
      if (bias !== 0) normed = f32x4.add(normed, loadSome(bias + at, lanes))
      storeSome(y + at, normed, lanes)
    }
    x += row
    y += row
  }
}

/**
 * With g = dy * weight and u the normed row: dx = (g - mean(g) - u mean(g u)) / deviation; dweight = sum over rows of
 * dy * u, and dbias = sum of dy, each unless it is 0.
 */
export function layerNormBackward(
  x: usize,
  weight: usize,
  dy: usize,
  dx: usize,
  dweight: usize,
  dbias: usize,
  count: i32,
  width: i32,
  eps: f32,
): void {
  const row = (<usize>width) << 2
  if (dweight !== 0) memory.fill(dweight, 0, row)
  if (dbias !== 0) memory.fill(dbias, 0, row)
  for (let n = 0; n < count; n++) {
    const mean = meanOf(x, width)
    const mean4 = f32x4.splat(mean)
    const inverse = f32x4.splat(inverseDeviation(x, mean, width, eps))
    let sums = f32x4.splat(0)
    let products = f32x4.splat(0)
    for (let i = 0; i < width; i += 4) {
      const at = (<usize>i) << 2
      const lanes = width - i
      const d = loadSome(dy + at, lanes)
      const normed = f32x4.mul(f32x4.sub(loadSome(x + at, lanes), mean4), inverse)
      const g = weight === 0 ? d : f32x4.mul(d, loadSome(weight + at, lanes))
      sums = f32x4.add(sums, g)
      // lanes beyond the row are 0 in g
      products = madd(g, normed, products)
      if (dweight !== 0) storeSome(dweight + at, madd(d, normed, loadSome(dweight + at, lanes)), lanes)
      if (dbias !== 0) storeSome(dbias + at, f32x4.add(d, loadSome(dbias + at, lanes)), lanes)
    }
    const level = f32x4.splat(sum4(sums) / <f32>width)
    const along = f32x4.splat(sum4(products) / <f32>width)
    for (let i = 0; i < width; i += 4) {
      const at = (<usize>i) << 2
      const lanes = width - i
      const d = loadSome(dy + at, lanes)
      const normed = f32x4.mul(f32x4.sub(loadSome(x + at, lanes), mean4), inverse)
      const g = weight === 0 ? d : f32x4.mul(d, loadSome(weight + at, lanes))
      const rest = f32x4.sub(f32x4.sub(g, level), f32x4.mul(normed, along))
      storeSome(dx + at, f32x4.mul(inverse, rest), lanes)
    }
    x += row
    dy += row
    dx += row
  }
}
