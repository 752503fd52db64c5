import { madd } from './simd'

/** Rows and columns of a register tile, and rows of a tall one, for which multiply-add has to be one instruction. */
const TILE_ROWS = 4
const TALL_ROWS = 6
const TILE_COLUMNS = 8
/** Rows of A that are packed for a tall tile: two more than it reads, so that they come in fours. */
const TALL_PANEL = 8
/** A block of B: `DEPTH` of k by `SPAN` columns, 512 KB, is packed once and read from the second-level cache. */
const DEPTH = 256
const SPAN = 512

/** Floats of scratch that `blocked` needs. */
export function blockedScratch(n: i32, k: i32): i32 {
  const panels = min(SPAN, (n + TILE_COLUMNS - 1) & ~(TILE_COLUMNS - 1)) * min(DEPTH, k)
  return panels + TALL_PANEL * min(DEPTH, k) + TALL_ROWS * TILE_COLUMNS
}

/**
 * Register tiles over packed panels: B in panels of 8 columns, A in panels of 4 or 8 rows, all contiguous along k. With
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
  const panelA = corner + ((TALL_ROWS * TILE_COLUMNS) << 2)
  const panelsB = panelA + ((<usize>(TALL_PANEL * min(DEPTH, k))) << 2)
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
      for (let i = 0, rows = 0; i < m; i += rows) {
        const below = m - i
        // eight are two tiles of four
        const tall = ASC_FEATURE_RELAXED_SIMD && below > TILE_ROWS && below !== 2 * TILE_ROWS
        const whole = tall ? TALL_ROWS : TILE_ROWS
        const packed = tall ? TALL_PANEL : TILE_ROWS
        rows = min(whole, below)
        if (transposeA)
          packAlong(a + ((<usize>(top * m + i)) << 2), panelA, min(packed, below), depth, (<usize>m) << 2, packed)
        else packAcross(a + ((<usize>(i * k + top)) << 2), panelA, min(packed, below), depth, (<usize>k) << 2, packed)
        for (let j = 0; j < span; j += TILE_COLUMNS) {
          const columns = min(TILE_COLUMNS, span - j)
          const there = inPlace && columns === TILE_COLUMNS
          const from = there ? blockB + ((<usize>j) << 2) : panelsB + ((<usize>(j * depth)) << 2)
          const stride: usize = there ? (<usize>n) << 2 : TILE_COLUMNS << 2
          const to = c + ((<usize>(i * n + left + j)) << 2)
          if (rows === whole && columns === TILE_COLUMNS) {
            if (tall) tallTile(panelA, from, stride, to, cRow, depth, top > 0)
            else tile(panelA, from, stride, to, cRow, depth, top > 0)
          } else {
            if (tall) tallTile(panelA, from, stride, corner, TILE_COLUMNS << 2, depth, false)
            else tile(panelA, from, stride, corner, TILE_COLUMNS << 2, depth, false)
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

/**
 * The same for c[6, 8] and a panel of A of 8 rows, of which 6 count; depth at least 1. Its 12 accumulators hide the
 * latency of multiply-add, as 8 do not, and leave room for 2 vectors of B and 1 of A: all 15 registers that V8 has to
 * give. It would move the loads of all rows to the front, and spill, so a way out that is never taken stands after each
 * row; sums are loaded before the loop, since what comes after it counts too. Without either it spills, and
 * `npm run bench matMul` prints half the rate.
 */
function tallTile(a: usize, b: usize, stride: usize, c: usize, cRow: usize, depth: i32, accumulate: bool): void {
  let c00 = f32x4.splat(0)
  let c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0)
  let c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0)
  let c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0)
  let c31 = f32x4.splat(0)
  let c40 = f32x4.splat(0)
  let c41 = f32x4.splat(0)
  let c50 = f32x4.splat(0)
  let c51 = f32x4.splat(0)
  if (accumulate) {
    let row = c
    c00 = v128.load(row)
    c01 = v128.load(row, 16)
    row += cRow
    c10 = v128.load(row)
    c11 = v128.load(row, 16)
    row += cRow
    c20 = v128.load(row)
    c21 = v128.load(row, 16)
    row += cRow
    c30 = v128.load(row)
    c31 = v128.load(row, 16)
    row += cRow
    c40 = v128.load(row)
    c41 = v128.load(row, 16)
    row += cRow
    c50 = v128.load(row)
    c51 = v128.load(row, 16)
  }
  const end = a + ((<usize>depth) << 5)
  while (true) {
    const b0 = v128.load(b)
    const b1 = v128.load(b, 16)
    let x = v128.load32_splat(a)
    c00 = madd(x, b0, c00)
    c01 = madd(x, b1, c01)
    if (a >= end) break
    x = v128.load32_splat(a, 4)
    c10 = madd(x, b0, c10)
    c11 = madd(x, b1, c11)
    if (a >= end) break
    x = v128.load32_splat(a, 8)
    c20 = madd(x, b0, c20)
    c21 = madd(x, b1, c21)
    if (a >= end) break
    x = v128.load32_splat(a, 12)
    c30 = madd(x, b0, c30)
    c31 = madd(x, b1, c31)
    if (a >= end) break
    x = v128.load32_splat(a, 16)
    c40 = madd(x, b0, c40)
    c41 = madd(x, b1, c41)
    if (a >= end) break
    x = v128.load32_splat(a, 20)
    c50 = madd(x, b0, c50)
    c51 = madd(x, b1, c51)
    a += 32
    b += stride
    if (a >= end) break
  }
  v128.store(c, c00)
  v128.store(c, c01, 16)
  c += cRow
  v128.store(c, c10)
  v128.store(c, c11, 16)
  c += cRow
  v128.store(c, c20)
  v128.store(c, c21, 16)
  c += cRow
  v128.store(c, c30)
  v128.store(c, c31, 16)
  c += cRow
  v128.store(c, c40)
  v128.store(c, c41, 16)
  c += cRow
  v128.store(c, c50)
  v128.store(c, c51, 16)
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
