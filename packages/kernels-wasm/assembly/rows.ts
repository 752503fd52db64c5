import { madd, sum4 } from './simd'

/** Copies `bytes` in whole floats. */
export function copyRow(from: usize, to: usize, bytes: usize): void {
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(to + i, v128.load(from + i))
  for (; i < bytes; i += 4) f32.store(to + i, f32.load(from + i))
}

/** Adds `bytes` of floats to those at `to`. */
export function addRow(from: usize, to: usize, bytes: usize): void {
  const whole = bytes & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)))
  for (; i < bytes; i += 4) f32.store(to + i, f32.load(to + i) + f32.load(from + i))
}

/** A row that may be read in whole vectors: itself, or its copy in `spare`, whose further lanes stay as they are. */
export function wholeRow(row: usize, spare: usize, bytes: usize): usize {
  if ((bytes & 15) === 0) return row
  copyRow(row, spare, bytes)
  return spare
}

/** out = by x over whole vectors; `out` may be x. */
export function scaleRow(x: usize, by: f32, out: usize, bytes: usize): void {
  const by4 = f32x4.splat(by)
  for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, f32x4.mul(v128.load(x + i), by4))
}

/** out = by x y over whole vectors. */
export function multiplyRow(x: usize, y: usize, by: f32, out: usize, bytes: usize): void {
  const by4 = f32x4.splat(by)
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(out + i, f32x4.mul(f32x4.mul(by4, v128.load(x + i)), v128.load(y + i)))
  }
}

/** out += by x over whole vectors. */
export function addScaled(x: usize, by: f32, out: usize, bytes: usize): void {
  const by4 = f32x4.splat(by)
  for (let i: usize = 0; i < bytes; i += 16) v128.store(out + i, madd(by4, v128.load(x + i), v128.load(out + i)))
}

/** The sum over `bytes`, a multiple of 16. */
export function sumRow(x: usize, bytes: usize): f32 {
  let sums = f32x4.splat(0)
  for (let i: usize = 0; i < bytes; i += 16) sums = f32x4.add(sums, v128.load(x + i))
  return sum4(sums)
}

/** <x, y> over `bytes`, a multiple of 16. */
export function dotRow(x: usize, y: usize, bytes: usize): f32 {
  let sums = f32x4.splat(0)
  for (let i: usize = 0; i < bytes; i += 16) sums = madd(v128.load(x + i), v128.load(y + i), sums)
  return sum4(sums)
}

/** `count` rows of `bytes`, from one distance between rows to another. */
export function copyRows(from: usize, apart: usize, to: usize, toApart: usize, count: usize, bytes: usize): void {
  for (let i: usize = 0; i < count; i++) copyRow(from + i * apart, to + i * toApart, bytes)
}

/** Bytes of a row of `count` floats in whole vectors. */
export function wholeBytes(count: usize): usize {
  return (count * 4 + 15) & ~15
}

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

/** Bytes of a state of K rows of V floats in whole vectors, where rows are walked two by two. */
export function pairedBytes(keyWidth: usize, valueWidth: usize): usize {
  return ((keyWidth + 1) & ~1) * wholeBytes(valueWidth)
}
