import { addRow, copyRow } from './rows'
import { loadSome, madd, sigmoid4, storeSome, tanh4 } from './simd'
import {
  backThroughWeight,
  begin,
  clearFlags,
  emptyAt,
  found,
  productScratch,
  room,
  sum3,
  throughWeight,
  weightGradients,
} from './token-loop'
import { isSet } from './wkv4'

/** Bytes of working memory. */
export function gruScratch(batch: i32, width: i32): usize {
  return room(batch * width) + room(batch * 3 * width) + room(3 * width) + productScratch(1, 3 * width, width)
}

/** One token of one row: `state` goes from before it to after it. */
function step(projected: usize, recurrent: usize, bias: usize, state: usize, width: i32): void {
  const row = (<usize>width) << 2
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const r = sigmoid4(sum3(projected + at, recurrent + at, bias + at, lanes))
    const z = sigmoid4(sum3(projected + row + at, recurrent + row + at, bias + row + at, lanes))
    const u = f32x4.add(loadSome(recurrent + 2 * row + at, lanes), loadSome(bias + 2 * row + at, lanes))
    const n = tanh4(madd(r, u, loadSome(projected + 2 * row + at, lanes)))
    storeSome(state + at, madd(z, f32x4.sub(loadSome(state + at, lanes), n), n), lanes)
  }
}

/** h [batch, time, width]; absent inputs are 0. */
export function gru(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  h: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const state = scratch
  const recurrent = state + room(batch * width)
  const biases = recurrent + room(batch * 3 * width)
  const rest = biases + room(3 * width)
  begin(bias, biases, 3 * width)
  begin(h0, state, batch * width)
  for (let t: usize = 0; t < <usize>time; t++) {
    emptyAt(state, resets, t, batch, time, width)
    throughWeight(state, weight, recurrent, rest, batch, 3 * width, width)
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      if (mask === 0 || isSet(mask, token)) {
        step(projected + 3 * token * row, recurrent + 3 * n * row, biases, state + n * row, width)
      }
      copyRow(state + n * row, h + token * row, row)
    }
  }
}

/** Bytes of working memory. */
export function gruBackwardScratch(batch: i32, time: i32, width: i32): usize {
  const gates = 3 * width
  const tokens = batch * time
  return (
    room(tokens * width) +
    room(tokens * gates) +
    room(batch * gates) +
    2 * room(batch * width) +
    room(gates) +
    productScratch(tokens, gates, width)
  )
}

/** One token of one row: `g` goes from the cotangent of h after it to its direct part before it, `recurrent` to its own. */
function stepBack(
  projected: usize,
  recurrent: usize,
  bias: usize,
  before: usize,
  g: usize,
  dprojected: usize,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const one = f32x4.splat(1)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const r = sigmoid4(sum3(projected + at, recurrent + at, bias + at, lanes))
    const z = sigmoid4(sum3(projected + row + at, recurrent + row + at, bias + row + at, lanes))
    const u = f32x4.add(loadSome(recurrent + 2 * row + at, lanes), loadSome(bias + 2 * row + at, lanes))
    const n = tanh4(madd(r, u, loadSome(projected + 2 * row + at, lanes)))
    const dh = loadSome(g + at, lanes)
    const shut = f32x4.sub(one, z)
    const dn = f32x4.mul(f32x4.mul(dh, shut), f32x4.sub(one, f32x4.mul(n, n)))
    const dz = f32x4.mul(f32x4.mul(dh, f32x4.sub(loadSome(before + at, lanes), n)), f32x4.mul(z, shut))
    const dr = f32x4.mul(f32x4.mul(dn, u), f32x4.mul(r, f32x4.sub(one, r)))
    storeSome(dprojected + at, dr, lanes)
    storeSome(dprojected + row + at, dz, lanes)
    storeSome(dprojected + 2 * row + at, dn, lanes)
    storeSome(recurrent + at, dr, lanes)
    storeSome(recurrent + row + at, dz, lanes)
    storeSome(recurrent + 2 * row + at, f32x4.mul(dn, r), lanes)
    storeSome(g + at, f32x4.mul(dh, z), lanes)
  }
}

/** Gradients of all inputs; those of absent inputs are 0. */
export function gruBackward(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  h: usize,
  dh: usize,
  dprojected: usize,
  dweight: usize,
  dbias: usize,
  dresets: usize,
  dmask: usize,
  dh0: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const gates = 3 * width
  const tokens = batch * time
  const before = scratch
  // products, which become their cotangents from the last token to the first
  const recurrent = before + room(tokens * width)
  const current = recurrent + room(tokens * gates)
  const g = current + room(batch * gates)
  const back = g + room(batch * width)
  const biases = back + room(batch * width)
  const rest = biases + room(gates)
  clearFlags(dresets, dmask, tokens)
  begin(bias, biases, gates)
  found(h, h0, resets, before, batch, time, width)
  throughWeight(before, weight, recurrent, rest, tokens, gates, width)
  memory.fill(g, 0, <usize>batch * row)
  for (let t = time - 1; t >= 0; t--) {
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      const at = 3 * token * row
      addRow(dh + token * row, g + n * row, row)
      if (mask === 0 || isSet(mask, token)) {
        stepBack(projected + at, recurrent + at, biases, before + token * row, g + n * row, dprojected + at, width)
      } else {
        memory.fill(dprojected + at, 0, 3 * row)
        memory.fill(recurrent + at, 0, 3 * row)
      }
      copyRow(recurrent + at, current + 3 * n * row, 3 * row)
    }
    backThroughWeight(current, weight, g, back, rest, batch, gates, width)
    emptyAt(g, resets, t, batch, time, width)
  }
  if (dh0 !== 0) copyRow(g, dh0, <usize>batch * row)
  weightGradients(recurrent, before, dweight, dbias, rest, tokens, gates, width)
}
