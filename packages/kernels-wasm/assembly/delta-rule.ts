import { decayRow, write } from './gated-state'
import { readOne, readTwo, writeTwo } from './low-rank-state'
import { addScaled, copyRow, copyRows, dotRow, multiplyRow, wholeBytes, wholeRow } from './rows'

/** Working memory of the forward pass of one head: its state, and rows of keys and values. */
export function deltaRuleScratch(keyWidth: usize, valueWidth: usize): usize {
  return keyWidth * wholeBytes(valueWidth) + 8 * wholeBytes(keyWidth) + 4 * wholeBytes(valueWidth)
}

/**
 * One head, token by token, so that the state stays in the first-level cache. With a and b the step is diagonal plus
 * low rank, x = a^T S, S <- diag(d) S + k v^T + b x^T; without them (0) it is the delta rule of `beta`, S <- d S + k u^T
 * with u = beta (v - d k^T S). o = scale S^T q, or 0 for none. Absent tensors are 0, and `last` may be `state`.
 * `channels` is the number of decays a token has, 1 or as many as keys; `heads` is how many heads lie between one token
 * and the next.
 */
export function deltaRule(
  q: usize,
  k: usize,
  v: usize,
  a: usize,
  b: usize,
  beta: usize,
  logDecay: usize,
  resets: usize,
  state: usize,
  o: usize,
  last: usize,
  scratch: usize,
  time: i32,
  keyWidth: usize,
  valueWidth: usize,
  channels: usize,
  heads: usize,
  scale: f32,
): void {
  const keyBytes = keyWidth * 4
  const valueBytes = valueWidth * 4
  const keys = wholeBytes(keyWidth)
  const row = wholeBytes(valueWidth)
  const size = keyWidth * row
  memory.fill(scratch, 0, deltaRuleScratch(keyWidth, valueWidth))
  const S = scratch
  const spare = S + size
  const spareQ = spare + keys
  const spareK = spareQ + keys
  const spareA = spareK + keys
  const spareB = spareA + keys
  const d = spareB + keys
  const r = d + keys
  const spareV = r + keys
  const spareO = spareV + row
  const x = spareO + row
  const u = x + row
  if (state !== 0) copyRows(state, valueBytes, S, row, keyWidth, valueBytes)
  if (logDecay === 0) decayRow(0, 0, spare, d, keys)
  for (let t: usize = 0; t < <usize>time; t++) {
    const keyAt = t * heads * keyBytes
    const valueAt = t * heads * valueBytes
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(S, 0, size)
    if (logDecay !== 0) decayRow(logDecay + t * heads * channels * 4, channels * 4, spare, d, keys)
    const query = wholeRow(q + keyAt, spareQ, keyBytes)
    const key = wholeRow(k + keyAt, spareK, keyBytes)
    const value = wholeRow(v + valueAt, spareV, valueBytes)
    multiplyRow(query, d, scale, r, keys)
    const out = o !== 0 && row === valueBytes ? o + valueAt : spareO
    const own = scale * dotRow(query, key, keys)
    if (a === 0) {
      multiplyRow(key, d, 1, spareA, keys)
      readState(S, spareA, r, x, o === 0 ? 0 : out, keyBytes, row)
      errorRow(value, x, f32.load(beta + t * heads * 4), x, u, row)
      addScaled(u, own, out, row)
      write(S, S, d, key, u, keyBytes, row)
    } else {
      const low = wholeRow(b + keyAt, spareB, keyBytes)
      readState(S, wholeRow(a + keyAt, spareA, keyBytes), r, x, o === 0 ? 0 : out, keyBytes, row)
      addScaled(value, own, out, row)
      addScaled(x, scale * dotRow(query, low, keys), out, row)
      writeTwo(S, S, d, key, value, low, x, keyBytes, row)
    }
    if (o !== 0 && out === spareO) copyRow(out, o + valueAt, valueBytes)
  }
  copyRows(S, row, last, valueBytes, keyWidth, valueBytes)
}

function readState(S: usize, a: usize, r: usize, x: usize, o: usize, keys: usize, row: usize): void {
  if (o === 0) readOne(S, a, x, keys, row)
  else readTwo(S, a, r, x, o, keys, row)
}

/** What is wrong with what the state holds, v - x, and u = beta times it, which is written. */
export function errorRow(v: usize, x: usize, beta: f32, error: usize, u: usize, row: usize): void {
  const beta4 = f32x4.splat(beta)
  for (let j: usize = 0; j < row; j += 16) {
    const e = f32x4.sub(v128.load(v + j), v128.load(x + j))
    v128.store(error + j, e)
    v128.store(u + j, f32x4.mul(beta4, e))
  }
}
