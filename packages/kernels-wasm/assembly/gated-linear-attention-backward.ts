import { decayRow, readRow, write } from './gated-state'
import { addRow, copyRow, copyRows, dotRow, pairedBytes, scaleRow, sumRow, wholeBytes, wholeRow } from './rows'
import { madd, sums2 } from './simd'

/** Working memory of the backward pass: the cotangent of a state, a state and decays at each token, rows. */
export function gatedLinearAttentionBackwardScratch(time: usize, keyWidth: usize, valueWidth: usize): usize {
  return (
    (1 + time) * pairedBytes(keyWidth, valueWidth) + (time + 12) * wholeBytes(keyWidth) + 3 * wholeBytes(valueWidth)
  )
}

/**
 * One head over the few tokens of a chunk, arguments as in the forward pass: states are made again and kept, then the
 * cotangent of the state walks back over them. Gradients are added to what is in dq, dk (heads of a group share them),
 * dLogDecay and dBonus. dLogDecay, dBonus and dState may be 0 for absent; dState may be dLast.
 */
export function gatedLinearAttentionBackward(
  q: usize,
  k: usize,
  v: usize,
  logDecay: usize,
  bonus: usize,
  resets: usize,
  state: usize,
  dO: usize,
  dLast: usize,
  dq: usize,
  dk: usize,
  dv: usize,
  dLogDecay: usize,
  dBonus: usize,
  dState: usize,
  scratch: usize,
  time: i32,
  keyWidth: usize,
  valueWidth: usize,
  channels: usize,
  keyStep: usize,
  valueStep: usize,
  decayStep: usize,
  scale: f32,
): void {
  const keyBytes = keyWidth * 4
  const valueBytes = valueWidth * 4
  const keys = wholeBytes(keyWidth)
  const row = wholeBytes(valueWidth)
  const size = pairedBytes(keyWidth, valueWidth)
  const decays = scratch
  const spare = decays + <usize>time * keys
  const spareQ = spare + keys
  const spareK = spareQ + keys
  const spareU = spareK + keys
  const r = spareU + keys
  // three products of each row of the states, then what they make: gradients by q, k, decay and bonus
  const products = r + keys
  const grads = products + 3 * keys
  const spareV = grads + 4 * keys
  const spareG = spareV + row
  const spareDv = spareG + row
  const dS = spareDv + row
  const states = dS + size
  memory.fill(spare, 0, states - spare)
  // lanes and rows beside the point must hold numbers; whole states are written over anyway
  if (row !== valueBytes || (keyWidth & 1) !== 0) memory.fill(states, 0, <usize>time * size)

  const u: usize = bonus === 0 ? 0 : wholeRow(bonus, spareU, keyBytes)
  if (state === 0) memory.fill(states, 0, size)
  else copyRows(state, valueBytes, states, row, keyWidth, valueBytes)
  for (let t = 0; t < time; t++) {
    const S = states + t * size
    const a = decays + t * keys
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(S, 0, size)
    decayRow(logDecay + t * decayStep, channels * 4, spare, a, keys)
    if (t + 1 === time) break
    const key = wholeRow(k + t * keyStep, spareK, keyBytes)
    write(S, S + size, a, key, wholeRow(v + t * valueStep, spareV, valueBytes), keyBytes, row)
  }

  copyRows(dLast, valueBytes, dS, row, keyWidth, valueBytes)
  for (let t = time - 1; t >= 0; t--) {
    const a = decays + t * keys
    const query = wholeRow(q + t * keyStep, spareQ, keyBytes)
    const key = wholeRow(k + t * keyStep, spareK, keyBytes)
    const value = wholeRow(v + t * valueStep, spareV, valueBytes)
    const g = wholeRow(dO + t * valueStep, spareG, valueBytes)
    const own = readRow(query, key, a, u, r, keys, scale)
    const out = row === valueBytes ? dv + t * valueStep : spareDv
    scaleRow(g, own, out, row)
    backStates(states + t * size, dS, a, r, key, value, g, out, products, keys, size, row)
    if (out === spareDv) copyRow(out, dv + t * valueStep, valueBytes)
    keyGradients(query, key, a, u, products, dotRow(value, g, row), scale, grads, keys)
    addRow(grads, dq + t * keyStep, keyBytes)
    addRow(grads + keys, dk + t * keyStep, keyBytes)
    if (dLogDecay !== 0) addDecay(grads + 2 * keys, dLogDecay + t * decayStep, channels, keys)
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(dS, 0, size)
  }
  if (dBonus !== 0) addRow(grads + 3 * keys, dBonus, keyBytes)
  if (dState !== 0) copyRows(dS, row, dState, valueBytes, keyWidth, valueBytes)
}

/**
 * The part of one token's backward pass that touches states: products S g, dS v and <dS, S> of each row, dv += dS^T k,
 * then dS <- diag(a) dS + r g^T.
 */
function backStates(
  S: usize,
  dS: usize,
  a: usize,
  r: usize,
  k: usize,
  v: usize,
  g: usize,
  dv: usize,
  products: usize,
  keys: usize,
  size: usize,
  row: usize,
): void {
  const end = S + size
  const zero = f32x4.splat(0)
  while (S < end) {
    const a0 = v128.load_splat<f32>(a)
    const a1 = v128.load_splat<f32>(a, 4)
    const r0 = v128.load_splat<f32>(r)
    const r1 = v128.load_splat<f32>(r, 4)
    const k0 = v128.load_splat<f32>(k)
    const k1 = v128.load_splat<f32>(k, 4)
    let read0 = zero
    let read1 = zero
    let written0 = zero
    let written1 = zero
    let kept0 = zero
    let kept1 = zero
    for (let j: usize = 0; j < row; j += 16) {
      const gj = v128.load(g + j)
      const vj = v128.load(v + j)
      const s0 = v128.load(S + j)
      const d0 = v128.load(dS + j)
      read0 = madd(s0, gj, read0)
      written0 = madd(d0, vj, written0)
      kept0 = madd(d0, s0, kept0)
      v128.store(dS + j, madd(a0, d0, f32x4.mul(r0, gj)))
      const s1 = v128.load(S + row + j)
      const d1 = v128.load(dS + row + j)
      read1 = madd(s1, gj, read1)
      written1 = madd(d1, vj, written1)
      kept1 = madd(d1, s1, kept1)
      v128.store(dS + row + j, madd(a1, d1, f32x4.mul(r1, gj)))
      v128.store(dv + j, madd(k0, d0, madd(k1, d1, v128.load(dv + j))))
    }
    v128.store_lane<f64>(products, sums2(read0, read1), 0)
    v128.store_lane<f64>(products + keys, sums2(written0, written1), 0)
    v128.store_lane<f64>(products + 2 * keys, sums2(kept0, kept1), 0)
    products += 8
    a += 8
    r += 8
    k += 8
    S += 2 * row
    dS += 2 * row
  }
}

/** Rows of gradients by q, k and the log-decay; to that of the bonus this token's is added. w = <v, g>. */
function keyGradients(
  q: usize,
  k: usize,
  a: usize,
  u: usize,
  products: usize,
  w: f32,
  scale: f32,
  grads: usize,
  keys: usize,
): void {
  const scale4 = f32x4.splat(scale)
  const w4 = f32x4.splat(w)
  for (let i: usize = 0; i < keys; i += 16) {
    const query = f32x4.mul(v128.load(q + i), scale4)
    const key = v128.load(k + i)
    const decay = v128.load(a + i)
    const read = v128.load(products + i)
    const written = v128.load(products + keys + i)
    const kept = v128.load(products + 2 * keys + i)
    if (u === 0) {
      v128.store(grads + i, f32x4.mul(scale4, madd(decay, read, f32x4.mul(w4, key))))
      v128.store(grads + keys + i, madd(w4, query, written))
      v128.store(grads + 2 * keys + i, f32x4.mul(decay, madd(query, read, kept)))
    } else {
      const weight = f32x4.mul(w4, v128.load(u + i))
      v128.store(grads + i, f32x4.mul(scale4, madd(weight, key, read)))
      v128.store(grads + keys + i, madd(weight, query, written))
      v128.store(grads + 2 * keys + i, f32x4.mul(decay, kept))
      const bonus = grads + 3 * keys + i
      v128.store(bonus, madd(f32x4.mul(w4, query), key, v128.load(bonus)))
    }
  }
}

function addDecay(grad: usize, to: usize, channels: usize, keys: usize): void {
  if (channels > 1) {
    addRow(grad, to, channels * 4)
    return
  }
  f32.store(to, f32.load(to) + sumRow(grad, keys))
}
