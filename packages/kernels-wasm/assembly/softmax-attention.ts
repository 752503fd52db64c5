import { packAcross } from './mat-mul-blocked'
import { addTimes, dot } from './rows'
import { exp1, log1 } from './simd'
import {
  biasFloats,
  capScores,
  EMPTY,
  exponentials,
  finishScores,
  G,
  greatest,
  H,
  K,
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
  softCap,
  T,
  TILE,
  V,
} from './softmax-attention-scores'

/** Up to this many queries, keys and values are read where they lie: packing them would cost more than it saves. */
const FEW = 3

/** Bytes of scratch that `softmaxAttention` needs. */
export function softmaxAttentionScratch(time: i32, keys: i32, widthK: i32, widthV: i32): i32 {
  const rows = (keys + TILE - 1) & ~(TILE - 1)
  const panels = time <= FEW ? 0 : rows * (widthK + padded(widthV))
  const own = TILE * (padded(widthK) + TILE + 4 + padded(widthV) + 2)
  return (biasFloats(time, keys) + panels + own) << 2
}

/**
 * Softmax attention, tile by tile with a running maximum and sum. q [batch, time, heads, widthK], k and v [batch, keys,
 * groups, width], o [batch, time, heads, widthV], lse [batch, heads, time]; absent inputs are 0. Packs the keys and values
 * of a group once, for all the tiles of all its heads. Source: Dao et al. 2022, arXiv:2205.14135, algorithm 1.
 */
export function softmaxAttention(
  q: usize,
  k: usize,
  v: usize,
  bias: usize,
  relativeBias: usize,
  slopes: usize,
  logForget: usize,
  sinkLogits: usize,
  keyMask: usize,
  queryDocuments: usize,
  keyDocuments: usize,
  o: usize,
  lse: usize,
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
  tableSize: i32,
  ahead: i32,
  causal: bool,
  window: i32,
  sinks: i32,
  scale: f32,
  cap: f32,
): void {
  setSizes(time, keys, heads, groups, widthK, widthV)
  setBiases(bias, biasBatch, biasHeads, relativeBias, tableSize, ahead, slopes, logForget)
  setSight(keyMask, queryDocuments, keyDocuments, causal, window, sinks, cap)
  const queries = setScratch(scratch)
  const own = queries + ((<usize>(TILE * padded(K))) << 2)
  const panelsK = own + ((<usize>(TILE * (TILE + 4 + padded(V) + 2))) << 2)
  const rows = (S + TILE - 1) & ~(TILE - 1)
  const panelsV = panelsK + ((<usize>(rows * K)) << 2)
  const strideK = (<usize>(G * K)) << 2
  const strideV = (<usize>(G * V)) << 2
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < G; g++) {
      const kHere = k + ((<usize>((b * S * G + g) * K)) << 2)
      const vHere = v + ((<usize>((b * S * G + g) * V)) << 2)
      if (T > FEW) {
        packRows(kHere, panelsK, S, K, strideK, 8)
        packColumns(vHere, panelsV, S, V, strideV)
      }
      for (let h = (g * H) / G; h < ((g + 1) * H) / G; h++) {
        prepareHead(h)
        const sink = sinkLogits === 0 ? EMPTY : f32.load(sinkLogits + ((<usize>h) << 2))
        for (let i = 0; i < T; i += TILE) {
          const size = min(TILE, T - i)
          const from = q + ((<usize>(((b * T + i) * H + h) * K)) << 2)
          prepareTile(b, h, i, size)
          start(own, size, sink, sinkLogits !== 0)
          if (T > FEW) {
            packRows(from, queries, size, K, (<usize>(H * K)) << 2, 4)
            scaleBy(queries, ((size + 3) & ~3) * K, scale)
            for (let j = nextTile(0, i, size); j < S; j = nextTile(j + TILE, i, size)) {
              block(queries, panelsK, panelsV, own, b, h, i, size, j)
            }
          } else {
            for (let j = nextTile(0, i, size); j < S; j = nextTile(j + TILE, i, size)) {
              few(from, kHere, vHere, scale, own, b, h, i, size, j)
            }
          }
          finish(own, b, h, i, size, o, lse)
        }
      }
    }
  }
}

/** Running maximum and sum of each query: behind the scores, one panel and the weighted values of the tile. */
function runningAt(own: usize): usize {
  return own + ((<usize>(TILE * (TILE + 4 + padded(V)))) << 2)
}
function weightedAt(own: usize): usize {
  return own + ((TILE * (TILE + 4)) << 2)
}

function start(own: usize, size: i32, sink: f32, joins: bool): void {
  const running = runningAt(own)
  memory.fill(weightedAt(own), 0, (<usize>(TILE * padded(V))) << 2)
  for (let r: usize = 0; r < (<usize>size) << 3; r += 8) {
    f32.store(running + r, sink)
    f32.store(running + r, joins ? 1 : 0, 4)
  }
}

/** Scores of one query to weights; what was summed up so far is put under the new maximum. */
function absorb(own: usize, r: i32, width: i32): void {
  const scores = own + ((<usize>(r * TILE)) << 2)
  const running = runningAt(own) + ((<usize>r) << 3)
  const top = f32.load(running)
  const higher = max<f32>(top, greatest(scores, width))
  const total = exponentials(scores, width, higher)
  const kept = exp1(top - higher)
  f32.store(running, higher)
  f32.store(running, f32.load(running, 4) * kept + total, 4)
  if (kept !== 1) scaleBy(weightedAt(own) + ((<usize>(r * padded(V))) << 2), padded(V), kept)
}

function block(
  queries: usize,
  panelsK: usize,
  panelsV: usize,
  own: usize,
  b: i32,
  h: i32,
  i: i32,
  size: i32,
  j: i32,
): void {
  const count = min(TILE, S - j)
  const width = padded(count)
  const stepK = (<usize>K) << 5
  multiply(queries, (<usize>K) << 4, panelsK + ((<usize>(j * K)) << 2), stepK, own, TILE << 2, size, width, K, false)
  for (let r = 0; r < size; r++) {
    const scores = own + ((<usize>(r * TILE)) << 2)
    if (softCap > 0) capScores(scores, width, 0)
    finishScores(scores, b, h, i + r, j, count)
    absorb(own, r, width)
  }
  const panel = own + ((TILE * TILE) << 2)
  const weighted = weightedAt(own)
  const row = (<usize>padded(V)) << 2
  for (let r = 0; r < size; r += 4) {
    packAcross(own + ((<usize>(r * TILE)) << 2), panel, 4, count, TILE << 2, 4)
    multiply(panel, 0, panelsV + <usize>j * row, TILE << 5, weighted + <usize>r * row, row, 4, V, count, true)
  }
}

/** A tile of few queries: a dot product for each score, and a row of values for each weight. */
function few(q: usize, k: usize, v: usize, scale: f32, own: usize, b: i32, h: i32, i: i32, size: i32, j: i32): void {
  const count = min(TILE, S - j)
  const strideK = (<usize>(G * K)) << 2
  const strideV = (<usize>(G * V)) << 2
  const keys = k + <usize>j * strideK
  const values = v + <usize>j * strideV
  for (let r = 0; r < size; r++) {
    const scores = own + ((<usize>(r * TILE)) << 2)
    const query = q + ((<usize>(r * H * K)) << 2)
    const weighted = weightedAt(own) + ((<usize>(r * padded(V))) << 2)
    for (let n: usize = 0; n < <usize>count; n++)
      f32.store(scores + (n << 2), scale * dot(query, keys + n * strideK, K))
    if (softCap > 0) capScores(scores, padded(count), 0)
    finishScores(scores, b, h, i + r, j, count)
    absorb(own, r, padded(count))
    for (let n: usize = 0; n < <usize>count; n++)
      addTimes(weighted, values + n * strideV, f32.load(scores + (n << 2)), V)
  }
}

function finish(own: usize, b: i32, h: i32, i: i32, size: i32, o: usize, lse: usize): void {
  for (let r = 0; r < size; r++) {
    const running = runningAt(own) + ((<usize>r) << 3)
    const top = f32.load(running)
    const total = f32.load(running, 4)
    const weighted = weightedAt(own) + ((<usize>(r * padded(V))) << 2)
    const to = o + ((<usize>(((b * T + i + r) * H + h) * V)) << 2)
    const seen = top > EMPTY
    f32.store(lse + ((<usize>((b * H + h) * T + i + r)) << 2), seen ? top + <f32>log1(<f64>total) : EMPTY)
    if (seen) {
      scaleBy(weighted, padded(V), <f32>1 / total)
      memory.copy(to, weighted, (<usize>V) << 2)
    } else {
      memory.fill(to, 0, (<usize>V) << 2)
    }
  }
}
