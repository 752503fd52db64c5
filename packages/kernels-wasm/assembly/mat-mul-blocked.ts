import { madd } from './simd'

/**
 * Rows and columns of a register tile: 8 accumulators, 2 vectors of B and 1 of A fit the 15 that x64 leaves free. Five
 * or six rows, and two steps of k at a time, would fit too, but V8 spills them: measured at half the rate.
 */
const TILE_ROWS = 4
const TILE_COLUMNS = 8
/** A block of B: `DEPTH` of k by `SPAN` columns, 512 KB, is packed once and read from the second-level cache. */
const DEPTH = 256
const SPAN = 512

/** Floats of scratch that `blocked` needs. */
export function blockedScratch(n: i32, k: i32): i32 {
  const panels = min(SPAN, (n + TILE_COLUMNS - 1) & ~(TILE_COLUMNS - 1)) * min(DEPTH, k)
  return panels + TILE_ROWS * min(DEPTH, k) + TILE_ROWS * TILE_COLUMNS
}

/**
 * Register tiles over packed panels: B in panels of 8 columns, A in panels of 4 rows, both contiguous along k. With
 * `inPlace`, an untransposed B is not packed.
 * Source: Goto and van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication.
 */
export function blocked(
  a: usize,
  b: usize,
  c: usize,
  scratch: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
  inPlace: bool,
): void {
  const cRow = (<usize>n) << 2
  const corner = scratch
  const panelA = corner + ((TILE_ROWS * TILE_COLUMNS) << 2)
  const panelsB = panelA + ((<usize>(TILE_ROWS * min(DEPTH, k))) << 2)
  for (let left = 0; left < n; left += SPAN) {
    const span = min(SPAN, n - left)
    for (let top = 0; top < k; top += DEPTH) {
      const depth = min(DEPTH, k - top)
      const blockB = b + ((<usize>(transposeB ? left * k + top : top * n + left)) << 2)
      for (let j = 0; j < span; j += TILE_COLUMNS) {
        const columns = min(TILE_COLUMNS, span - j)
        if (inPlace && columns === TILE_COLUMNS) continue
        const to = panelsB + ((<usize>(j * depth)) << 2)
        if (transposeB) packAcross(blockB + ((<usize>(j * k)) << 2), to, columns, depth, (<usize>k) << 2, TILE_COLUMNS)
        else packAlong(blockB + ((<usize>j) << 2), to, columns, depth, (<usize>n) << 2, TILE_COLUMNS)
      }
      for (let i = 0; i < m; i += TILE_ROWS) {
        const rows = min(TILE_ROWS, m - i)
        if (transposeA) packAlong(a + ((<usize>(top * m + i)) << 2), panelA, rows, depth, (<usize>m) << 2, TILE_ROWS)
        else packAcross(a + ((<usize>(i * k + top)) << 2), panelA, rows, depth, (<usize>k) << 2, TILE_ROWS)
        for (let j = 0; j < span; j += TILE_COLUMNS) {
          const columns = min(TILE_COLUMNS, span - j)
          const whole = inPlace && columns === TILE_COLUMNS
          const from = whole ? blockB + ((<usize>j) << 2) : panelsB + ((<usize>(j * depth)) << 2)
          const to = c + ((<usize>(i * n + left + j)) << 2)
          const stride: usize = whole ? (<usize>n) << 2 : TILE_COLUMNS << 2
          if (rows === TILE_ROWS && columns === TILE_COLUMNS) {
            tile(panelA, from, stride, to, cRow, depth, top > 0)
          } else {
            tile(panelA, from, stride, corner, TILE_COLUMNS << 2, depth, false)
            copyCorner(corner, to, cRow, rows, columns, top > 0)
          }
        }
      }
    }
  }
}

/** Packs `count` columns of a matrix with rows of `stride` bytes: at each k, `tile` floats, of which the last are 0. */
export function packAlong(from: usize, to: usize, count: i32, depth: i32, stride: usize, tile: i32): void {
  const step = (<usize>tile) << 2
  if (count === tile) {
    for (let p = 0; p < depth; p++) {
      v128.store(to, v128.load(from))
      if (tile === TILE_COLUMNS) v128.store(to, v128.load(from, 16), 16)
      from += stride
      to += step
    }
    return
  }
  for (let p = 0; p < depth; p++) {
    for (let j = 0; j < tile; j++) f32.store(to + ((<usize>j) << 2), j < count ? f32.load(from + ((<usize>j) << 2)) : 0)
    from += stride
    to += step
  }
}

/** Packs `count` rows of `stride` bytes into the same layout, transposing blocks of 4 by 4. */
export function packAcross(from: usize, to: usize, count: i32, depth: i32, stride: usize, tile: i32): void {
  const step = (<usize>tile) << 2
  for (let i = 0; i < tile; i += 4) {
    const block = from + <usize>i * stride
    const out = to + ((<usize>i) << 2)
    if (i + 4 <= count) transposeRows(block, out, depth, stride, step)
    else gatherRows(block, out, count - i, depth, stride, step)
  }
}

function transposeRows(from: usize, to: usize, depth: i32, stride: usize, step: usize): void {
  const from1 = from + stride
  const from2 = from1 + stride
  const from3 = from2 + stride
  const row = (<usize>depth) << 2
  const whole = row & ~15
  let p: usize = 0
  for (; p < whole; p += 16) {
    const r0 = v128.load(from + p)
    const r1 = v128.load(from1 + p)
    const r2 = v128.load(from2 + p)
    const r3 = v128.load(from3 + p)
    const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
    const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
    const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
    const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
    v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5))
    v128.store(to + step, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7))
    v128.store(to + 2 * step, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5))
    v128.store(to + 3 * step, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7))
    to += step << 2
  }
  for (; p < row; p += 4) {
    f32.store(to, f32.load(from + p))
    f32.store(to, f32.load(from1 + p), 4)
    f32.store(to, f32.load(from2 + p), 8)
    f32.store(to, f32.load(from3 + p), 12)
    to += step
  }
}

function gatherRows(from: usize, to: usize, count: i32, depth: i32, stride: usize, step: usize): void {
  for (let p = 0; p < depth; p++) {
    for (let i = 0; i < 4; i++) {
      f32.store(to + ((<usize>i) << 2), i < count ? f32.load(from + <usize>i * stride + ((<usize>p) << 2)) : 0)
    }
    to += step
  }
}

/** c[4, 8] = or += panel of A times panel of B, whose rows are `stride` bytes apart. */
export function tile(a: usize, b: usize, stride: usize, c: usize, cRow: usize, depth: i32, accumulate: bool): void {
  let c00 = f32x4.splat(0)
  let c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0)
  let c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0)
  let c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0)
  let c31 = f32x4.splat(0)
  const end = a + ((<usize>depth) << 4)
  for (; a < end; a += 16) {
    const b0 = v128.load(b)
    const b1 = v128.load(b, 16)
    let x = v128.load32_splat(a)
    c00 = madd(x, b0, c00)
    c01 = madd(x, b1, c01)
    x = v128.load32_splat(a, 4)
    c10 = madd(x, b0, c10)
    c11 = madd(x, b1, c11)
    x = v128.load32_splat(a, 8)
    c20 = madd(x, b0, c20)
    c21 = madd(x, b1, c21)
    x = v128.load32_splat(a, 12)
    c30 = madd(x, b0, c30)
    c31 = madd(x, b1, c31)
    b += stride
  }
  storeRow(c, c00, c01, accumulate)
  storeRow(c + cRow, c10, c11, accumulate)
  storeRow(c + 2 * cRow, c20, c21, accumulate)
  storeRow(c + 3 * cRow, c30, c31, accumulate)
}

function storeRow(c: usize, low: v128, high: v128, accumulate: bool): void {
  if (accumulate) {
    low = f32x4.add(low, v128.load(c))
    high = f32x4.add(high, v128.load(c, 16))
  }
  v128.store(c, low)
  v128.store(c, high, 16)
}

function copyCorner(corner: usize, c: usize, cRow: usize, rows: i32, columns: i32, accumulate: bool): void {
  for (let i = 0; i < rows; i++) {
    for (let j: usize = 0; j < (<usize>columns) << 2; j += 4) {
      const value = f32.load(corner + j)
      f32.store(c + j, accumulate ? f32.load(c + j) + value : value)
    }
    corner += TILE_COLUMNS << 2
    c += cRow
  }
}
