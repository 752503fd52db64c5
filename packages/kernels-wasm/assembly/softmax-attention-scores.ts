import { packAcross, packAlong, tile } from './mat-mul-blocked'
import { exp4, max4, sum4, tanh4 } from './simd'

/** Queries and keys of a tile: its scores, 16 KB, stay in the first-level cache. */
export const TILE = 64
/** What a query may not see is pushed down to this. */
const MASKED: f32 = -1e30
/** The log sum of a query that sees nothing. */
export const EMPTY: f32 = -5e29

// sizes and inputs of the call at hand; addresses of absent inputs are 0
export let T = 0
export let S = 0
export let H = 0
export let G = 0
export let K = 0
export let V = 0
let bias: usize = 0
let biasStepB: usize = 0
let biasStepH: usize = 0
export let table: usize = 0
export let tableSize = 0
let ahead = 0
export let slopes: usize = 0
export let logForget: usize = 0
let keyMask: usize = 0
let queryDocuments: usize = 0
let keyDocuments: usize = 0
let causal = false
let window = 0
let sinks = 0
export let softCap: f32 = 0
/** Biases by distance, `[S + T - 1]`: that of key j and position p at j - p + S - 1. */
let diagonals: usize = 0
/** What keys add, for all queries of a tile: gates from the key to the tile's first query, and the mask. */
let columns: usize = 0
/** What queries add: gates from the tile's first query on. */
let rowTerms: usize = 0

export function setSizes(time: i32, keys: i32, heads: i32, groups: i32, widthK: i32, widthV: i32): void {
  T = time
  S = keys
  H = heads
  G = groups
  K = widthK
  V = widthV
}

export function setBiases(
  biasAt: usize,
  biasBatch: bool,
  biasHeads: bool,
  tableAt: usize,
  size: i32,
  tableAhead: i32,
  slopesAt: usize,
  logForgetAt: usize,
): void {
  bias = biasAt
  const plane = (<usize>T * S) << 2
  biasStepH = biasHeads ? plane : 0
  biasStepB = biasBatch ? (biasHeads ? plane * H : plane) : 0
  table = tableAt
  tableSize = size
  ahead = tableAhead
  slopes = slopesAt
  logForget = logForgetAt
}

export function setSight(
  mask: usize,
  queryDocs: usize,
  keyDocs: usize,
  isCausal: bool,
  span: i32,
  first: i32,
  cap: f32,
): void {
  keyMask = mask
  queryDocuments = queryDocs
  keyDocuments = keyDocs
  causal = isCausal
  window = span
  sinks = first
  softCap = cap
}

/** Floats that `setScratch` takes. */
export function biasFloats(time: i32, keys: i32): i32 {
  return keys + time + TILE + ((keys + TILE - 1) & ~(TILE - 1)) + TILE
}

export function setScratch(at: usize): usize {
  diagonals = at
  columns = diagonals + ((<usize>(S + T + TILE)) << 2)
  rowTerms = columns + ((<usize>((S + TILE - 1) & ~(TILE - 1))) << 2)
  return rowTerms + (TILE << 2)
}

/** Widths in scratch are whole register tiles. */
export function padded(width: i32): i32 {
  return (width + 7) & ~7
}

/** Column of the table for entry x of the diagonals. */
export function columnOf(x: i32): i32 {
  return min(max(S - 1 - x + ahead, 0), tableSize - 1)
}

/** Lays out what depends on the distance only, once a head. */
export function prepareHead(h: i32): void {
  if (table === 0 && slopes === 0) return
  const slope: f32 = slopes === 0 ? 0 : f32.load(slopes + ((<usize>h) << 2))
  const row = table + ((<usize>(h * tableSize)) << 2)
  for (let x = 0; x < S + T - 1; x++) {
    let value = -slope * <f32>abs(S - 1 - x)
    if (table !== 0) value += f32.load(row + ((<usize>columnOf(x)) << 2))
    f32.store(diagonals + ((<usize>x) << 2), value)
  }
}

/** First key of the window of the query at position p, and the key after the last that it may see. */
function windowStart(p: i32): i32 {
  return window > 0 ? max(p - window + 1, 0) : 0
}
function windowEnd(p: i32): i32 {
  if (causal) return min(p + 1, S)
  return window > 0 ? min(p + window, S) : S
}

/** The key at which to go on: tiles that no query in [i, i + rows) sees are left out; S at the end. */
export function nextTile(j: i32, i: i32, rows: i32): i32 {
  const p = S - T + i
  const end = windowEnd(p + rows - 1)
  if (j >= (causal ? end : max(end, sinks))) return S
  if (j < sinks) return j
  return max(j, windowStart(p) & ~(TILE - 1))
}

/** Gates and mask for the queries [i, i + rows) of a tile: sums run outwards from its first query, in double precision. */
export function prepareTile(b: i32, h: i32, i: i32, rows: i32): void {
  if (logForget === 0 && keyMask === 0) return
  const p = S - T + i
  if (logForget === 0) {
    memory.fill(columns, 0, (<usize>S) << 2)
    memory.fill(rowTerms, 0, TILE << 2)
  } else {
    const step = (<usize>H) << 2
    const gates = logForget + ((<usize>(b * S * H + h)) << 2)
    let sum: f64 = 0
    for (let r = 0; r < rows; r++) {
      if (r > 0) sum += <f64>f32.load(gates + <usize>(p + r) * step)
      f32.store(rowTerms + ((<usize>r) << 2), <f32>sum)
      f32.store(columns + ((<usize>(p + r)) << 2), <f32>-sum)
    }
    sum = 0
    const first = sinks > 0 ? 0 : windowStart(p)
    for (let j = p - 1; j >= first; j--) {
      sum += <f64>f32.load(gates + <usize>(j + 1) * step)
      f32.store(columns + ((<usize>j) << 2), <f32>sum)
    }
  }
  if (keyMask === 0) return
  const mask = keyMask + ((<usize>(b * S)) << 2)
  for (let j: usize = 0; j < (<usize>S) << 2; j += 4) if (f32.load(mask + j) === 0) f32.store(columns + j, MASKED)
}

/** Caps scores x as c tanh(x / c); at `flattening`, if it is not 0, goes the derivative. */
export function capScores(at: usize, size: i32, flattening: usize): void {
  const caps = f32x4.splat(softCap)
  const one = f32x4.splat(1)
  for (let n: usize = 0; n < (<usize>size) << 2; n += 16) {
    const t = tanh4(f32x4.div(v128.load(at + n), caps))
    v128.store(at + n, f32x4.mul(t, caps))
    if (flattening !== 0) v128.store(flattening + n, f32x4.sub(one, f32x4.mul(t, t)))
  }
}

/** Adds biases and masks to the scores of query i with the keys [j, j + size). */
export function finishScores(at: usize, b: i32, h: i32, i: i32, j: i32, size: i32): void {
  const p = S - T + i
  if (bias !== 0) {
    addRow(at, bias + <usize>b * biasStepB + <usize>h * biasStepH + ((<usize>(i * S + j)) << 2), size, 0)
  }
  if (table !== 0 || slopes !== 0) addRow(at, diagonals + ((<usize>(j - p + S - 1)) << 2), size, 0)
  if (logForget !== 0 || keyMask !== 0) {
    addRow(at, columns + ((<usize>j) << 2), size, f32.load(rowTerms + ((<usize>(i & (TILE - 1))) << 2)))
  }
  if (queryDocuments !== 0) {
    const own = f32.load(queryDocuments + ((<usize>(b * T + i)) << 2))
    const others = keyDocuments + ((<usize>(b * S + j)) << 2)
    for (let n: usize = 0; n < (<usize>size) << 2; n += 4) if (f32.load(others + n) !== own) f32.store(at + n, MASKED)
  }
  const early = windowStart(p)
  for (let n = max(sinks - j, 0); n < min(early - j, size); n++) f32.store(at + ((<usize>n) << 2), MASKED)
  for (let n = max(windowEnd(p) - j, 0); n < padded(size); n++) {
    if (causal || n >= size || j + n >= sinks) f32.store(at + ((<usize>n) << 2), MASKED)
  }
}

function addRow(at: usize, from: usize, size: i32, constant: f32): void {
  const row = (<usize>size) << 2
  const whole = row & ~15
  const constants = f32x4.splat(constant)
  let n: usize = 0
  for (; n < whole; n += 16) {
    v128.store(at + n, f32x4.add(v128.load(at + n), f32x4.add(v128.load(from + n), constants)))
  }
  for (; n < row; n += 4) f32.store(at + n, f32.load(at + n) + f32.load(from + n) + constant)
}

export function greatest(at: usize, size: i32): f32 {
  let top = f32x4.splat(MASKED)
  for (let n: usize = 0; n < (<usize>size) << 2; n += 16) top = f32x4.pmax(top, v128.load(at + n))
  return max4(top)
}

/** Turns scores into e^(score - top), and returns their sum. What is too small to count is 0, not a slow tiny number. */
export function exponentials(at: usize, size: i32, top: f32): f32 {
  const tops = f32x4.splat(top)
  const least = f32x4.splat(-87)
  let total = f32x4.splat(0)
  for (let n: usize = 0; n < (<usize>size) << 2; n += 16) {
    const x = f32x4.sub(v128.load(at + n), tops)
    const e = v128.and(exp4(x), f32x4.gt(x, least))
    v128.store(at + n, e)
    total = f32x4.add(total, e)
  }
  return sum4(total)
}

/** Rows [0, count) of `width` floats, `stride` bytes apart, as panels of `lanes` rows: [count / lanes][width][lanes]. */
export function packRows(from: usize, to: usize, count: i32, width: i32, stride: usize, lanes: i32): void {
  for (let n = 0; n < count; n += lanes) {
    packAcross(from + <usize>n * stride, to, min(lanes, count - n), width, stride, lanes)
    to += (<usize>(lanes * width)) << 2
  }
}

/**
 * The same rows as panels of 8 columns, tile by tile: [count / TILE][width / 8][TILE][8], of which `count` rows in all are
 * written. Tiles lie apart, since panels of the whole length would be a power of 2 apart and drive each other from the
 * cache.
 */
export function packColumns(from: usize, to: usize, count: i32, width: i32, stride: usize): void {
  for (let top = 0; top < count; top += TILE) {
    for (let n = 0; n < width; n += 8) {
      const block = from + <usize>top * stride + ((<usize>n) << 2)
      packAlong(block, to, min(8, width - n), min(TILE, count - top), stride, 8)
      to += TILE << 5
    }
  }
}

/** Multiplies `count` floats, rounded up to whole vectors. */
export function scaleBy(at: usize, count: i32, factor: f32): void {
  const factors = f32x4.splat(factor)
  for (let n: usize = 0; n < (<usize>count) << 2; n += 16) v128.store(at + n, f32x4.mul(v128.load(at + n), factors))
}

/** c[rows, width] = or += panels of 4 rows times panels of 8 columns, which are `aStep` and `bStep` bytes apart. */
export function multiply(
  a: usize,
  aStep: usize,
  b: usize,
  bStep: usize,
  c: usize,
  cRow: usize,
  rows: i32,
  width: i32,
  depth: i32,
  accumulate: bool,
): void {
  for (let r = 0; r < rows; r += 4) {
    let panel = b
    for (let n: usize = 0; n < (<usize>width) << 2; n += 32) {
      tile(a, panel, 32, c + n, cRow, depth, accumulate)
      panel += bStep
    }
    a += aStep
    c += cRow << 2
  }
}
