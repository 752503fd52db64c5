import { errorRow } from './delta-rule'
import { decayRow, write } from './gated-state'
import { addAndReadOne, addAndReadTwo, readOne, writeTwo } from './low-rank-state'
import {
  addScaled,
  copyRow,
  copyRows,
  dotRow,
  multiplyRow,
  pairedBytes,
  scaleRow,
  sumRow,
  wholeBytes,
  wholeRow,
} from './rows'
import { madd, sums2 } from './simd'

/** Working memory of the backward pass: the cotangent of a state; a state, decays and a reading at each token; rows. */
export function deltaRuleBackwardScratch(time: usize, keyWidth: usize, valueWidth: usize): usize {
  const states = (1 + time) * pairedBytes(keyWidth, valueWidth)
  return states + (time + 13) * wholeBytes(keyWidth) + (time + 5) * wholeBytes(valueWidth)
}

/**
 * One head over the few tokens of a chunk, arguments as in the forward pass: states are made again and kept, then the
 * cotangent of the state walks back over them. Gradients are written, where their addresses are not 0; dState may be
 * dLast.
 */
export function deltaRuleBackward(
  q: usize,
  k: usize,
  v: usize,
  a: usize,
  b: usize,
  beta: usize,
  logDecay: usize,
  resets: usize,
  state: usize,
  dO: usize,
  dLast: usize,
  dq: usize,
  dk: usize,
  dv: usize,
  da: usize,
  db: usize,
  dBeta: usize,
  dLogDecay: usize,
  dState: usize,
  scratch: usize,
  time: i32,
  keyWidth: usize,
  valueWidth: usize,
  channels: usize,
  heads: usize,
  scale: f32,
): void {
  const tokens = <usize>time
  const keyBytes = keyWidth * 4
  const valueBytes = valueWidth * 4
  const keyStep = heads * keyBytes
  const valueStep = heads * valueBytes
  const decayStep = heads * channels * 4
  const keys = wholeBytes(keyWidth)
  const row = wholeBytes(valueWidth)
  const size = pairedBytes(keyWidth, valueWidth)
  const decays = scratch
  const spare = decays + tokens * keys
  const spareQ = spare + keys
  const spareK = spareQ + keys
  const spareA = spareK + keys
  const spareB = spareA + keys
  const r = spareB + keys
  // five products of each row of the states and their cotangents, then two gradients at a time
  const products = r + keys
  const grad = products + 5 * keys
  // what each token reads of the state, or is wrong with it
  const readings = grad + 2 * keys
  const spareV = readings + tokens * row
  const spareG = spareV + row
  const u = spareG + row
  const dFirst = u + row
  const dSecond = dFirst + row
  const dS = dSecond + row
  const states = dS + size
  memory.fill(spare, 0, states - spare)
  // lanes and rows beside the point must hold numbers; whole states are written over anyway
  if (row !== valueBytes || (keyWidth & 1) !== 0) memory.fill(states, 0, tokens * size)

  if (state === 0) memory.fill(states, 0, size)
  else copyRows(state, valueBytes, states, row, keyWidth, valueBytes)
  for (let t: usize = 0; t < tokens; t++) {
    const S = states + t * size
    const d = decays + t * keys
    const x = readings + t * row
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(S, 0, size)
    decayRow(logDecay === 0 ? 0 : logDecay + t * decayStep, channels * 4, spare, d, keys)
    const key = wholeRow(k + t * keyStep, spareK, keyBytes)
    const value = wholeRow(v + t * valueStep, spareV, valueBytes)
    const reader = readerOf(a, key, d, spareA, t * keyStep, keyBytes, keys)
    readOne(S, reader, x, keyBytes, row)
    if (a === 0) errorRow(value, x, f32.load(beta + t * heads * 4), x, u, row)
    if (t + 1 === tokens) break
    if (a === 0) write(S, S + size, d, key, u, keyBytes, row)
    else writeTwo(S, S + size, d, key, value, wholeRow(b + t * keyStep, spareB, keyBytes), x, keyBytes, row)
  }

  copyRows(dLast, valueBytes, dS, row, keyWidth, valueBytes)
  for (let left = tokens; left > 0; left--) {
    const t = left - 1
    const keyAt = t * keyStep
    const d = decays + t * keys
    const x = readings + t * row
    const query = wholeRow(q + keyAt, spareQ, keyBytes)
    const key = wholeRow(k + keyAt, spareK, keyBytes)
    const g = wholeRow(dO + t * valueStep, spareG, valueBytes)
    const reader = readerOf(a, key, d, spareA, keyAt, keyBytes, keys)
    const rate: f32 = a === 0 ? f32.load(beta + t * heads * 4) : 0
    // what is written: k v^T and b x^T, or k u^T
    const low = a === 0 ? key : wholeRow(b + keyAt, spareB, keyBytes)
    const first = a === 0 ? u : wholeRow(v + t * valueStep, spareV, valueBytes)
    const second = x
    if (a === 0) scaleRow(x, rate, u, row)
    scaleRow(query, scale, r, keys)
    if (a === 0) {
      addAndReadOne(dS, r, g, key, dFirst, keyBytes, row)
      f32.store(dBeta + t * heads * 4, dotRow(dFirst, x, row))
      scaleRow(dFirst, -rate, dSecond, row)
      scaleRow(dFirst, rate, dFirst, row)
    } else {
      addAndReadTwo(dS, r, g, key, low, dFirst, dSecond, keyBytes, row)
    }
    copyRow(dFirst, dv + t * valueStep, valueBytes)
    if (a === 0)
      backStates<void>(states + t * size, dS, d, reader, first, second, g, dSecond, products, keys, size, row)
    else backStates<v128>(states + t * size, dS, d, reader, first, second, g, dSecond, products, keys, size, row)

    multiplyRow(products, d, scale, grad, keys)
    addScaled(key, scale * dotRow(first, g, row), grad, keys)
    if (a !== 0) addScaled(low, scale * dotRow(second, g, row), grad, keys)
    copyRow(grad, dq + keyAt, keyBytes)
    const byReader = products + keys
    const byKey = products + 2 * keys
    const byDecay = products + 4 * keys
    multiplyRow(byDecay, d, 1, grad, keys)
    if (a === 0) {
      // the reader is d k, so both get a part of its gradient
      multiplyRow(byReader, d, 1, grad + keys, keys)
      addScaled(byKey, 1, grad + keys, keys)
      copyRow(grad + keys, dk + keyAt, keyBytes)
      multiplyRow(byReader, reader, 1, byReader, keys)
      addScaled(byReader, 1, grad, keys)
    } else {
      copyRow(byReader, da + keyAt, keyBytes)
      copyRow(byKey, dk + keyAt, keyBytes)
      copyRow(products + 3 * keys, db + keyAt, keyBytes)
    }
    if (dLogDecay !== 0) storeDecay(grad, dLogDecay + t * decayStep, channels, keys)
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(dS, 0, size)
  }
  if (dState !== 0) copyRows(dS, row, dState, valueBytes, keyWidth, valueBytes)
}

/** The row that reads the state: a, or d k of the delta rule. */
function readerOf(a: usize, key: usize, d: usize, spare: usize, at: usize, keyBytes: usize, keys: usize): usize {
  if (a !== 0) return wholeRow(a + at, spare, keyBytes)
  multiplyRow(key, d, 1, spare, keys)
  return spare
}

/**
 * What one token's backward pass wants of the states: products S g, S dx, dS v, dS x and <dS, S> of each row, then
 * dS <- diag(d) dS + a dx^T. Second is void where there is no x.
 */
function backStates<Second>(
  S: usize,
  dS: usize,
  d: usize,
  a: usize,
  v: usize,
  x: usize,
  g: usize,
  dx: usize,
  products: usize,
  keys: usize,
  size: usize,
  row: usize,
): void {
  const end = S + size
  const zero = f32x4.splat(0)
  while (S < end) {
    const d0 = v128.load_splat<f32>(d)
    const d1 = v128.load_splat<f32>(d, 4)
    const a0 = v128.load_splat<f32>(a)
    const a1 = v128.load_splat<f32>(a, 4)
    let read0 = zero
    let read1 = zero
    let reader0 = zero
    let reader1 = zero
    let written0 = zero
    let written1 = zero
    let low0 = zero
    let low1 = zero
    let kept0 = zero
    let kept1 = zero
    for (let j: usize = 0; j < row; j += 16) {
      const gj = v128.load(g + j)
      const dxj = v128.load(dx + j)
      const vj = v128.load(v + j)
      const xj = isVoid<Second>() ? zero : v128.load(x + j)
      const s0 = v128.load(S + j)
      const c0 = v128.load(dS + j)
      read0 = madd(s0, gj, read0)
      reader0 = madd(s0, dxj, reader0)
      written0 = madd(c0, vj, written0)
      if (!isVoid<Second>()) low0 = madd(c0, xj, low0)
      kept0 = madd(c0, s0, kept0)
      v128.store(dS + j, madd(d0, c0, f32x4.mul(a0, dxj)))
      const s1 = v128.load(S + row + j)
      const c1 = v128.load(dS + row + j)
      read1 = madd(s1, gj, read1)
      reader1 = madd(s1, dxj, reader1)
      written1 = madd(c1, vj, written1)
      if (!isVoid<Second>()) low1 = madd(c1, xj, low1)
      kept1 = madd(c1, s1, kept1)
      v128.store(dS + row + j, madd(d1, c1, f32x4.mul(a1, dxj)))
    }
    v128.store_lane<f64>(products, sums2(read0, read1), 0)
    v128.store_lane<f64>(products + keys, sums2(reader0, reader1), 0)
    v128.store_lane<f64>(products + 2 * keys, sums2(written0, written1), 0)
    if (!isVoid<Second>()) v128.store_lane<f64>(products + 3 * keys, sums2(low0, low1), 0)
    v128.store_lane<f64>(products + 4 * keys, sums2(kept0, kept1), 0)
    products += 8
    d += 8
    a += 8
    S += 2 * row
    dS += 2 * row
  }
}

function storeDecay(grad: usize, to: usize, channels: usize, keys: usize): void {
  if (channels > 1) copyRow(grad, to, channels * 4)
  else f32.store(to, sumRow(grad, keys))
}
