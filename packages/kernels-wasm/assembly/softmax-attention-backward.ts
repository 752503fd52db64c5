import { packAcross, packAlong } from './mat-mul-blocked'
import { addRow, dot } from './rows'
import { exp1, sum4 } from './simd'
import {
  biasFloats,
  capScores,
  columnOf,
  exponentials,
  finishScores,
  G,
  H,
  K,
  logForget,
  multiply,
  nextTile,
  packColumns,
  packRows,
  padded,
  prepareHead,
  prepareTile,
  S,
  scaleBy,
  setBiases,
  setScratch,
  setSight,
  setSizes,
  slopes,
  softCap,
  T,
  TILE,
  table,
  tableSize,
  V,
} from './softmax-attention-scores'

// regions of scratch
let panelsK: usize = 0
let columnsK: usize = 0
let panelsV: usize = 0
let sumsK: usize = 0
let sumsV: usize = 0
let rowPanels: usize = 0
let rowColumns: usize = 0
let dyPanels: usize = 0
let dyColumns: usize = 0
let weights: usize = 0
let scores: usize = 0
let panel: usize = 0
let sumsQ: usize = 0
/** Sums of the score gradients by distance, by key and by query. */
let byDistance: usize = 0
let byKey: usize = 0
let byQuery: usize = 0

/** Keys, rounded up to whole tiles. */
function keyRows(): i32 {
  return (S + TILE - 1) & ~(TILE - 1)
}

/** Bytes of scratch that `softmaxAttentionBackward` needs. */
export function softmaxAttentionBackwardScratch(time: i32, keys: i32, widthK: i32, widthV: i32): i32 {
  const rows = (keys + TILE - 1) & ~(TILE - 1)
  const wideK = padded(widthK)
  const wideV = padded(widthV)
  const panels = rows * (widthK + wideK + widthV + wideK + wideV)
  const own = TILE * (widthK + wideK + widthV + wideV + 2 * TILE + TILE + wideK)
  return (biasFloats(time, keys) + panels + own + (keys + time + TILE) + rows + time + 2 * TILE) << 2
}

function layOut(scratch: usize): void {
  const rows = keyRows()
  const wideK = padded(K)
  const wideV = padded(V)
  panelsK = setScratch(scratch)
  columnsK = panelsK + ((<usize>(rows * K)) << 2)
  panelsV = columnsK + ((<usize>(rows * wideK)) << 2)
  sumsK = panelsV + ((<usize>(rows * V)) << 2)
  sumsV = sumsK + ((<usize>(rows * wideK)) << 2)
  rowPanels = sumsV + ((<usize>(rows * wideV)) << 2)
  rowColumns = rowPanels + ((<usize>(TILE * K)) << 2)
  dyPanels = rowColumns + ((<usize>(TILE * wideK)) << 2)
  dyColumns = dyPanels + ((<usize>(TILE * V)) << 2)
  weights = dyColumns + ((<usize>(TILE * wideV)) << 2)
  scores = weights + ((TILE * TILE) << 2)
  panel = scores + ((TILE * TILE) << 2)
  sumsQ = panel + ((TILE * TILE) << 2)
  byDistance = sumsQ + ((<usize>(TILE * wideK)) << 2)
  byKey = byDistance + ((<usize>(S + T + TILE)) << 2)
  byQuery = byKey + ((<usize>rows) << 2)
}

/**
 * Gradients of `softmaxAttention`: the probabilities of a tile come back from the log sums, and each tile is gone through
 * once. `db` and the like are 0 where the input is absent. Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4.
 */
export function softmaxAttentionBackward(
  q: usize,
  k: usize,
  v: usize,
  bias: usize,
  relativeBias: usize,
  slopesAt: usize,
  logForgetAt: usize,
  sinkLogits: usize,
  keyMask: usize,
  queryDocuments: usize,
  keyDocuments: usize,
  o: usize,
  lse: usize,
  dO: usize,
  dLse: usize,
  dq: usize,
  dk: usize,
  dv: usize,
  dBias: usize,
  dRelativeBias: usize,
  dSlopes: usize,
  dLogForget: usize,
  dSinkLogits: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  keys: i32,
  heads: i32,
  groups: i32,
  widthK: i32,
  widthV: i32,
  biasBatch: bool,
  biasHeads: bool,
  size: i32,
  ahead: i32,
  causal: bool,
  window: i32,
  sinks: i32,
  scale: f32,
  cap: f32,
): void {
  setSizes(time, keys, heads, groups, widthK, widthV)
  setBiases(bias, biasBatch, biasHeads, relativeBias, size, ahead, slopesAt, logForgetAt)
  setSight(keyMask, queryDocuments, keyDocuments, causal, window, sinks, cap)
  layOut(scratch)
  const plane = (<usize>(T * S)) << 2
  const biasStepH = biasHeads ? plane : 0
  const biasStepB = biasBatch ? (biasHeads ? plane * H : plane) : 0
  if (dBias !== 0) memory.fill(dBias, 0, plane * (biasHeads ? H : 1) * (biasBatch ? batch : 1))
  if (dRelativeBias !== 0) memory.fill(dRelativeBias, 0, (<usize>(H * size)) << 2)
  if (dSlopes !== 0) memory.fill(dSlopes, 0, (<usize>H) << 2)
  if (dSinkLogits !== 0) memory.fill(dSinkLogits, 0, (<usize>H) << 2)
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < G; g++) {
      const offsetK = (<usize>((b * S * G + g) * K)) << 2
      const offsetV = (<usize>((b * S * G + g) * V)) << 2
      packGroup(k + offsetK, v + offsetV)
      for (let h = (g * H) / G; h < ((g + 1) * H) / G; h++) {
        prepareHead(h)
        clearSums()
        const sink = (<usize>h) << 2
        for (let i = 0; i < T; i += TILE) {
          const rows = min(TILE, T - i)
          const at = (b * T + i) * H + h
          const row = ((b * H + h) * T + i) << 2
          const dBiasHere = dBias === 0 ? 0 : dBias + <usize>b * biasStepB + <usize>h * biasStepH
          prepareTile(b, h, i, rows)
          packQueries(q + ((<usize>(at * K)) << 2), dO + ((<usize>(at * V)) << 2), rows, scale)
          for (let r = 0; r < rows; r++) {
            const here = (<usize>((at + r * H) * V)) << 2
            const offset = dot(dO + here, o + here, V) - f32.load(dLse + row + ((<usize>r) << 2))
            f32.store(offsets() + ((<usize>r) << 2), offset)
            if (dSinkLogits === 0) continue
            const share = exp1(f32.load(sinkLogits + sink) - f32.load(lse + row + ((<usize>r) << 2)))
            f32.store(dSinkLogits + sink, f32.load(dSinkLogits + sink) - share * offset)
          }
          for (let j = nextTile(0, i, rows); j < S; j = nextTile(j + TILE, i, rows)) {
            block(b, h, i, rows, j, lse + row, dBiasHere)
          }
          storeQueries(dq + ((<usize>(at * K)) << 2), rows, scale)
        }
        if (dRelativeBias !== 0 || dSlopes !== 0) storeDistances(dRelativeBias, dSlopes, h)
        if (dLogForget !== 0) storeGates(dLogForget + ((<usize>(b * S * H + h)) << 2))
      }
      storeKeys(sumsK, dk + offsetK, K)
      storeKeys(sumsV, dv + offsetV, V)
    }
  }
}

/** The term that the softmax takes off the gradient of each probability, one a query: behind the sums by query. */
function offsets(): usize {
  return byQuery + ((<usize>T) << 2)
}

/** How much the cap flattens each score of the row at hand. */
function flattening(): usize {
  return offsets() + (TILE << 2)
}

function packGroup(k: usize, v: usize): void {
  const strideK = (<usize>(G * K)) << 2
  const strideV = (<usize>(G * V)) << 2
  packRows(k, panelsK, S, K, strideK, 8)
  packColumns(k, columnsK, S, K, strideK)
  packRows(v, panelsV, S, V, strideV, 8)
  memory.fill(sumsK, 0, (<usize>(keyRows() * padded(K))) << 2)
  memory.fill(sumsV, 0, (<usize>(keyRows() * padded(V))) << 2)
}

function clearSums(): void {
  memory.fill(byDistance, 0, (<usize>(S + T)) << 2)
  memory.fill(byKey, 0, (<usize>keyRows()) << 2)
  memory.fill(byQuery, 0, (<usize>T) << 2)
}

/** Scaled queries and the gradients of their outputs, each as rows and as columns of products. */
function packQueries(q: usize, dO: usize, rows: i32, scale: f32): void {
  const strideK = (<usize>(H * K)) << 2
  const strideV = (<usize>(H * V)) << 2
  packRows(q, rowPanels, rows, K, strideK, 4)
  scaleBy(rowPanels, ((rows + 3) & ~3) * K, scale)
  packColumns(q, rowColumns, rows, K, strideK)
  scaleBy(rowColumns, TILE * padded(K), scale)
  packRows(dO, dyPanels, rows, V, strideV, 4)
  packColumns(dO, dyColumns, rows, V, strideV)
  memory.fill(sumsQ, 0, (<usize>(TILE * padded(K))) << 2)
}

function block(b: i32, h: i32, i: i32, rows: i32, j: i32, lse: usize, dBias: usize): void {
  const count = min(TILE, S - j)
  const width = padded(count)
  const row: usize = TILE << 2
  const rowK = (<usize>padded(K)) << 2
  const rowV = (<usize>padded(V)) << 2
  const atK = panelsK + ((<usize>(j * K)) << 2)
  const atV = panelsV + ((<usize>(j * V)) << 2)
  multiply(rowPanels, (<usize>K) << 4, atK, (<usize>K) << 5, weights, row, rows, width, K, false)
  multiply(dyPanels, (<usize>V) << 4, atV, (<usize>V) << 5, scores, row, rows, width, V, false)
  for (let r = 0; r < rows; r++) {
    const at = weights + <usize>r * row
    if (softCap > 0) capScores(at, width, flattening())
    finishScores(at, b, h, i + r, j, count)
    exponentials(at, width, f32.load(lse + ((<usize>r) << 2)))
    scoreGradients(r, i + r, j, count, dBias)
  }
  for (let r: usize = 0; r < <usize>rows; r += 4) {
    packAcross(scores + r * row, panel, 4, count, row, 4)
    multiply(panel, 0, columnsK + <usize>j * rowK, TILE << 5, sumsQ + r * rowK, rowK, 4, K, count, true)
  }
  for (let n: usize = 0; n < <usize>width; n += 4) {
    const key = <usize>j + n
    packAlong(scores + (n << 2), panel, 4, rows, row, 4)
    multiply(panel, 0, rowColumns, TILE << 5, sumsK + key * rowK, rowK, 4, K, rows, true)
    packAlong(weights + (n << 2), panel, 4, rows, row, 4)
    multiply(panel, 0, dyColumns, TILE << 5, sumsV + key * rowV, rowV, 4, V, rows, true)
  }
}

/** Gradients of the scores of query i, in the place of those of its probabilities; and what biases get of them. */
function scoreGradients(r: i32, i: i32, j: i32, count: i32, dBias: usize): void {
  const at = (<usize>(r * TILE)) << 2
  const offset = f32x4.splat(f32.load(offsets() + ((<usize>r) << 2)))
  let total = f32x4.splat(0)
  for (let n: usize = 0; n < (<usize>padded(count)) << 2; n += 16) {
    const d = f32x4.mul(v128.load(weights + at + n), f32x4.sub(v128.load(scores + at + n), offset))
    v128.store(scores + at + n, d)
    total = f32x4.add(total, d)
  }
  if (dBias !== 0) addRow(scores + at, dBias + ((<usize>(i * S + j)) << 2), (<usize>count) << 2)
  if (table !== 0 || slopes !== 0)
    addRow(scores + at, byDistance + ((<usize>(j - (S - T + i) + S - 1)) << 2), (<usize>count) << 2)
  if (logForget !== 0) {
    addRow(scores + at, byKey + ((<usize>j) << 2), (<usize>count) << 2)
    const sum = byQuery + ((<usize>i) << 2)
    f32.store(sum, f32.load(sum) + sum4(total))
  }
  if (softCap === 0) return
  for (let n: usize = 0; n < (<usize>padded(count)) << 2; n += 16) {
    v128.store(scores + at + n, f32x4.mul(v128.load(scores + at + n), v128.load(flattening() + n)))
  }
}

function storeQueries(dq: usize, rows: i32, scale: f32): void {
  scaleBy(sumsQ, TILE * padded(K), scale)
  for (let r = 0; r < rows; r++) {
    memory.copy(dq + ((<usize>(r * H * K)) << 2), sumsQ + ((<usize>(r * padded(K))) << 2), (<usize>K) << 2)
  }
}

function storeKeys(sums: usize, to: usize, width: i32): void {
  for (let j = 0; j < S; j++) {
    memory.copy(to + ((<usize>(j * G * width)) << 2), sums + ((<usize>(j * padded(width))) << 2), (<usize>width) << 2)
  }
}

/** The table and the slope of a head, from what was summed up by distance. */
function storeDistances(dTable: usize, dSlopes: usize, h: i32): void {
  let slope: f32 = 0
  for (let x = 0; x < S + T - 1; x++) {
    const d = f32.load(byDistance + ((<usize>x) << 2))
    slope -= d * <f32>abs(S - 1 - x)
    if (dTable === 0) continue
    const to = dTable + ((<usize>(h * tableSize + columnOf(x))) << 2)
    f32.store(to, f32.load(to) + d)
  }
  if (dSlopes === 0) return
  const to = dSlopes + ((<usize>h) << 2)
  f32.store(to, f32.load(to) + slope)
}

/** A gate counts for the queries at and after its token, and is taken off for the keys there. */
function storeGates(to: usize): void {
  let sum: f64 = 0
  for (let j = S - 1; j >= 0; j--) {
    if (j >= S - T) sum += <f64>f32.load(byQuery + ((<usize>(j - (S - T))) << 2))
    sum -= <f64>f32.load(byKey + ((<usize>j) << 2))
    f32.store(to + ((<usize>(j * H)) << 2), <f32>sum)
  }
}
