import { madd, sum4 } from './simd'

/** A vector of up to 8 KB stays in the first-level cache while a matrix streams past; a longer one is pushed out. */
const LASTING: usize = 8192
/** Beyond 4 MB a matrix comes from main memory, which is fastest read strictly in order. */
const FAR: usize = 4194304

/** Lays a [k, count] matrix out as [count, k]. */
export function packRows(x: usize, scratch: usize, count: i32, k: i32): usize {
  if (count === 1) return x
  for (let i = 0; i < count; i++) {
    let from = x + ((<usize>i) << 2)
    let to = scratch + ((<usize>(i * k)) << 2)
    for (let p = 0; p < k; p++) {
      f32.store(to, f32.load(from))
      from += (<usize>count) << 2
      to += 4
    }
  }
  return scratch
}

/**
 * c[i, j] = x[i] . w[j] for m rows of x and n rows of w, each k contiguous floats; c is written at i * cRow + j * cColumn
 * bytes. w streams by once, four rows at a time, or in order for a single short x and a large w.
 * Decoding is this with m = 1.
 */
export function dots(x: usize, w: usize, c: usize, m: i32, n: i32, k: i32, cRow: usize, cColumn: usize): void {
  const row = (<usize>k) << 2
  const inOrder = m === 1 && row <= LASTING && row * n > FAR
  let j = 0
  for (; j + 4 <= n && !inOrder; j += 4) {
    let i = 0
    for (; i + 2 <= m; i += 2) {
      dots2x4(x + <usize>i * row, w, c + <usize>i * cRow, row, cRow, cColumn)
    }
    if (i < m) dots1x4(x + <usize>i * row, w, c + <usize>i * cRow, row, cColumn)
    w += row << 2
    c += cColumn << 2
  }
  for (; j < n; j++) {
    for (let i = 0; i < m; i++) f32.store(c + <usize>i * cRow, dot(x + <usize>i * row, w, row))
    w += row
    c += cColumn
  }
}

function dot(x: usize, w: usize, row: usize): f32 {
  const whole = row & ~63
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let s2 = f32x4.splat(0)
  let s3 = f32x4.splat(0)
  let p: usize = 0
  for (; p < whole; p += 64) {
    s0 = madd(v128.load(x + p), v128.load(w + p), s0)
    s1 = madd(v128.load(x + p, 16), v128.load(w + p, 16), s1)
    s2 = madd(v128.load(x + p, 32), v128.load(w + p, 32), s2)
    s3 = madd(v128.load(x + p, 48), v128.load(w + p, 48), s3)
  }
  for (; p + 16 <= row; p += 16) s0 = madd(v128.load(x + p), v128.load(w + p), s0)
  let total = sum4(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)))
  for (; p < row; p += 4) total += f32.load(x + p) * f32.load(w + p)
  return total
}

function dots1x4(x: usize, w: usize, c: usize, row: usize, cColumn: usize): void {
  const w1 = w + row
  const w2 = w1 + row
  const w3 = w2 + row
  const whole = row & ~15
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let s2 = f32x4.splat(0)
  let s3 = f32x4.splat(0)
  let p: usize = 0
  for (; p < whole; p += 16) {
    const v = v128.load(x + p)
    s0 = madd(v, v128.load(w + p), s0)
    s1 = madd(v, v128.load(w1 + p), s1)
    s2 = madd(v, v128.load(w2 + p), s2)
    s3 = madd(v, v128.load(w3 + p), s3)
  }
  storeSums(s0, s1, s2, s3, x, w, c, whole, row, cColumn)
}

function dots2x4(x: usize, w: usize, c: usize, row: usize, cRow: usize, cColumn: usize): void {
  const y = x + row
  const w1 = w + row
  const w2 = w1 + row
  const w3 = w2 + row
  const whole = row & ~15
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let s2 = f32x4.splat(0)
  let s3 = f32x4.splat(0)
  let t0 = f32x4.splat(0)
  let t1 = f32x4.splat(0)
  let t2 = f32x4.splat(0)
  let t3 = f32x4.splat(0)
  let p: usize = 0
  for (; p < whole; p += 16) {
    const v = v128.load(x + p)
    const u = v128.load(y + p)
    let q = v128.load(w + p)
    s0 = madd(v, q, s0)
    t0 = madd(u, q, t0)
    q = v128.load(w1 + p)
    s1 = madd(v, q, s1)
    t1 = madd(u, q, t1)
    q = v128.load(w2 + p)
    s2 = madd(v, q, s2)
    t2 = madd(u, q, t2)
    q = v128.load(w3 + p)
    s3 = madd(v, q, s3)
    t3 = madd(u, q, t3)
  }
  storeSums(s0, s1, s2, s3, x, w, c, whole, row, cColumn)
  storeSums(t0, t1, t2, t3, y, w, c + cRow, whole, row, cColumn)
}

/** Sums each vector, adds the products of the last row & 15 bytes, and writes the four results. */
function storeSums(
  s0: v128,
  s1: v128,
  s2: v128,
  s3: v128,
  x: usize,
  w: usize,
  c: usize,
  whole: usize,
  row: usize,
  cColumn: usize,
): void {
  const low = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), v128.shuffle<f32>(s0, s1, 2, 6, 3, 7))
  const high = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), v128.shuffle<f32>(s2, s3, 2, 6, 3, 7))
  let sums = f32x4.add(v128.shuffle<f32>(low, high, 0, 1, 4, 5), v128.shuffle<f32>(low, high, 2, 3, 6, 7))
  for (let p = whole; p < row; p += 4) {
    const at = w + p
    let column = f32x4.splat(f32.load(at))
    column = f32x4.replace_lane(column, 1, f32.load(at + row))
    column = f32x4.replace_lane(column, 2, f32.load(at + 2 * row))
    column = f32x4.replace_lane(column, 3, f32.load(at + 3 * row))
    sums = f32x4.add(sums, f32x4.mul(v128.load32_splat(x + p), column))
  }
  if (cColumn === 4) {
    v128.store(c, sums)
    return
  }
  f32.store(c, f32x4.extract_lane(sums, 0))
  f32.store(c + cColumn, f32x4.extract_lane(sums, 1))
  f32.store(c + 2 * cColumn, f32x4.extract_lane(sums, 2))
  f32.store(c + 3 * cColumn, f32x4.extract_lane(sums, 3))
}

/** Sums of at most three outer products: c is written once, row by row. */
export function thin(a: usize, b: usize, c: usize, m: i32, n: i32, k: i32, aRow: usize, aColumn: usize): void {
  const row = (<usize>n) << 2
  for (let i = 0; i < m; i++) {
    if (k === 0) memory.fill(c, 0, row)
    else scaleRow(f32.load(a), b, c, row)
    for (let p = 1; p < k; p++) addRow(f32.load(a + <usize>p * aColumn), b + <usize>p * row, c, row)
    a += aRow
    c += row
  }
}

function scaleRow(factor: f32, b: usize, c: usize, row: usize): void {
  const whole = row & ~15
  const factor4 = f32x4.splat(factor)
  let j: usize = 0
  for (; j < whole; j += 16) v128.store(c + j, f32x4.mul(factor4, v128.load(b + j)))
  for (; j < row; j += 4) f32.store(c + j, factor * f32.load(b + j))
}

function addRow(factor: f32, b: usize, c: usize, row: usize): void {
  const whole = row & ~63
  const factor4 = f32x4.splat(factor)
  let j: usize = 0
  for (; j < whole; j += 64) {
    v128.store(c + j, madd(factor4, v128.load(b + j), v128.load(c + j)))
    v128.store(c + j, madd(factor4, v128.load(b + j, 16), v128.load(c + j, 16)), 16)
    v128.store(c + j, madd(factor4, v128.load(b + j, 32), v128.load(c + j, 32)), 32)
    v128.store(c + j, madd(factor4, v128.load(b + j, 48), v128.load(c + j, 48)), 48)
  }
  for (; j + 16 <= row; j += 16) v128.store(c + j, madd(factor4, v128.load(b + j), v128.load(c + j)))
  for (; j < row; j += 4) f32.store(c + j, f32.load(c + j) + factor * f32.load(b + j))
}

/** c[m, n] = x[m, k] b[k, n] for few rows m: four rows of b at a time, so that b streams by once. */
export function axpy(x: usize, b: usize, c: usize, m: i32, n: i32, k: i32): void {
  const row = (<usize>n) << 2
  const depth = (<usize>k) << 2
  let p: usize = 0
  for (; p + 16 <= depth; p += 16) {
    for (let i: usize = 0; i < <usize>m; i++) axpy4(x + i * depth + p, b, c + i * row, row, p > 0)
    b += row << 2
  }
  // thin products have a path of their own, so something has been written by now
  for (; p < depth; p += 4) {
    for (let i: usize = 0; i < <usize>m; i++) addRow(f32.load(x + i * depth + p), b, c + i * row, row)
    b += row
  }
}

/** One row of c gets, or adds, four rows of b times four consecutive factors. */
function axpy4(x: usize, b: usize, c: usize, row: usize, accumulate: bool): void {
  const b1 = b + row
  const b2 = b1 + row
  const b3 = b2 + row
  const whole = row & ~15
  const x0 = v128.load32_splat(x)
  const x1 = v128.load32_splat(x, 4)
  const x2 = v128.load32_splat(x, 8)
  const x3 = v128.load32_splat(x, 12)
  let j: usize = 0
  for (; j < whole; j += 16) {
    const before = accumulate ? v128.load(c + j) : f32x4.splat(0)
    const near = madd(x1, v128.load(b1 + j), madd(x0, v128.load(b + j), before))
    v128.store(c + j, madd(x3, v128.load(b3 + j), madd(x2, v128.load(b2 + j), near)))
  }
  for (; j < row; j += 4) {
    const near = f32x4.extract_lane(x0, 0) * f32.load(b + j) + f32x4.extract_lane(x1, 0) * f32.load(b1 + j)
    const far = f32x4.extract_lane(x2, 0) * f32.load(b2 + j) + f32x4.extract_lane(x3, 0) * f32.load(b3 + j)
    f32.store(c + j, (accumulate ? f32.load(c + j) : 0) + near + far)
  }
}
