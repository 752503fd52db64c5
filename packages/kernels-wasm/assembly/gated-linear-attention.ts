import { decayRow, readAndWrite, readRow, write } from './gated-state'
import { copyRow, copyRows, wholeBytes, wholeRow } from './rows'

/** Working memory of the forward pass of one head: its state, and rows of keys and values. */
export function gatedLinearAttentionScratch(keyWidth: usize, valueWidth: usize): usize {
  return keyWidth * wholeBytes(valueWidth) + 6 * wholeBytes(keyWidth) + 2 * wholeBytes(valueWidth)
}

/**
 * One head: o_t = scale S_t^T q_t with S_t = diag(decay_t) S_{t-1} + k_t v_t^T, token by token, so that the state stays
 * in the first-level cache; without o the state alone is made. Absent tensors are 0, and `last` may be `state`. Steps are bytes from one token to the next, 0 for a constant decay;
 * `channels` is the number of decays a token has, 1 or as many as keys.
 */
export function gatedLinearAttention(
  q: usize,
  k: usize,
  v: usize,
  logDecay: usize,
  bonus: usize,
  resets: usize,
  state: usize,
  o: usize,
  last: usize,
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
  const size = keyWidth * row
  memory.fill(scratch, 0, gatedLinearAttentionScratch(keyWidth, valueWidth))
  const S = scratch
  const spare = S + size
  const spareQ = spare + keys
  const spareK = spareQ + keys
  const spareU = spareK + keys
  const a = spareU + keys
  const r = a + keys
  const spareV = r + keys
  const spareO = spareV + row
  if (state !== 0) copyRows(state, valueBytes, S, row, keyWidth, valueBytes)
  const u: usize = bonus === 0 ? 0 : wholeRow(bonus, spareU, keyBytes)
  if (decayStep === 0) decayRow(logDecay, channels * 4, spare, a, keys)
  for (let t = 0; t < time; t++) {
    if (resets !== 0 && f32.load(resets + t * 4) > 0.5) memory.fill(S, 0, size)
    if (decayStep !== 0) decayRow(logDecay, channels * 4, spare, a, keys)
    const key = wholeRow(k, spareK, keyBytes)
    const value = wholeRow(v, spareV, valueBytes)
    if (o === 0) {
      write(S, S, a, key, value, keyBytes, row)
    } else {
      const own = readRow(wholeRow(q, spareQ, keyBytes), key, a, u, r, keys, scale)
      const out = row === valueBytes ? o : spareO
      readAndWrite(S, a, r, key, value, own, out, keyBytes, row)
      if (out !== o) copyRow(out, o, valueBytes)
      o += valueStep
    }
    q += keyStep
    k += keyStep
    v += valueStep
    logDecay += decayStep
  }
  copyRows(S, row, last, valueBytes, keyWidth, valueBytes)
}
