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
export function lstmScratch(batch: i32, width: i32): usize {
  return 2 * room(batch * width) + room(batch * 4 * width) + room(4 * width) + productScratch(1, 4 * width, width)
}

/** One token of one row: `cell` and `state` go from before it to after it. */
function step(projected: usize, recurrent: usize, bias: usize, state: usize, cell: usize, width: i32): void {
  const row = (<usize>width) << 2
  for (let n = 0; n < width; n += 4) {
    const at = (<usize>n) << 2
    const lanes = min(4, width - n)
    const i = sigmoid4(sum3(projected + at, recurrent + at, bias + at, lanes))
    const f = sigmoid4(sum3(projected + row + at, recurrent + row + at, bias + row + at, lanes))
    const g = tanh4(sum3(projected + 2 * row + at, recurrent + 2 * row + at, bias + 2 * row + at, lanes))
    const o = sigmoid4(sum3(projected + 3 * row + at, recurrent + 3 * row + at, bias + 3 * row + at, lanes))
    const c = madd(f, loadSome(cell + at, lanes), f32x4.mul(i, g))
    storeSome(cell + at, c, lanes)
    storeSome(state + at, f32x4.mul(o, tanh4(c)), lanes)
  }
}

/** h and c [batch, time, width]; absent inputs are 0. */
export function lstm(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  c0: usize,
  h: usize,
  c: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const state = scratch
  const cell = state + room(batch * width)
  const recurrent = cell + room(batch * width)
  const biases = recurrent + room(batch * 4 * width)
  const rest = biases + room(4 * width)
  begin(bias, biases, 4 * width)
  begin(h0, state, batch * width)
  begin(c0, cell, batch * width)
  for (let t: usize = 0; t < <usize>time; t++) {
    emptyAt(state, resets, t, batch, time, width)
    emptyAt(cell, resets, t, batch, time, width)
    throughWeight(state, weight, recurrent, rest, batch, 4 * width, width)
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      if (mask === 0 || isSet(mask, token)) {
        step(projected + 4 * token * row, recurrent + 4 * n * row, biases, state + n * row, cell + n * row, width)
      }
      copyRow(state + n * row, h + token * row, row)
      copyRow(cell + n * row, c + token * row, row)
    }
  }
}

/** Bytes of working memory. */
export function lstmBackwardScratch(batch: i32, time: i32, width: i32): usize {
  const gates = 4 * width
  const tokens = batch * time
  return (
    2 * room(tokens * width) +
    room(tokens * gates) +
    room(batch * gates) +
    3 * room(batch * width) +
    room(gates) +
    productScratch(tokens, gates, width)
  )
}

/** One token of one row: `dc` goes from the cotangent of c after it to that before it; `dh` is that of h after it. */
function stepBack(
  projected: usize,
  recurrent: usize,
  bias: usize,
  before: usize,
  after: usize,
  dh: usize,
  dc: usize,
  dprojected: usize,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const one = f32x4.splat(1)
  for (let n = 0; n < width; n += 4) {
    const at = (<usize>n) << 2
    const lanes = min(4, width - n)
    const i = sigmoid4(sum3(projected + at, recurrent + at, bias + at, lanes))
    const f = sigmoid4(sum3(projected + row + at, recurrent + row + at, bias + row + at, lanes))
    const g = tanh4(sum3(projected + 2 * row + at, recurrent + 2 * row + at, bias + 2 * row + at, lanes))
    const o = sigmoid4(sum3(projected + 3 * row + at, recurrent + 3 * row + at, bias + 3 * row + at, lanes))
    const shown = tanh4(loadSome(after + at, lanes))
    const given = loadSome(dh + at, lanes)
    const slope = f32x4.mul(o, f32x4.sub(one, f32x4.mul(shown, shown)))
    const cell = madd(given, slope, loadSome(dc + at, lanes))
    const opened = f32x4.mul(i, f32x4.sub(one, i))
    const kept = f32x4.mul(f, f32x4.sub(one, f))
    storeSome(dprojected + at, f32x4.mul(f32x4.mul(cell, g), opened), lanes)
    storeSome(dprojected + row + at, f32x4.mul(f32x4.mul(cell, loadSome(before + at, lanes)), kept), lanes)
    storeSome(dprojected + 2 * row + at, f32x4.mul(f32x4.mul(cell, i), f32x4.sub(one, f32x4.mul(g, g))), lanes)
    storeSome(dprojected + 3 * row + at, f32x4.mul(f32x4.mul(given, shown), f32x4.mul(o, f32x4.sub(one, o))), lanes)
    storeSome(dc + at, f32x4.mul(cell, f), lanes)
  }
}

/** Gradients of all inputs; those of absent inputs are 0. */
export function lstmBackward(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  c0: usize,
  h: usize,
  c: usize,
  dh: usize,
  dc: usize,
  dprojected: usize,
  dweight: usize,
  dbias: usize,
  dresets: usize,
  dmask: usize,
  dh0: usize,
  dc0: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const gates = 4 * width
  const tokens = batch * time
  const before = scratch
  const cells = before + room(tokens * width)
  const recurrent = cells + room(tokens * width)
  const current = recurrent + room(tokens * gates)
  const gh = current + room(batch * gates)
  const gc = gh + room(batch * width)
  const back = gc + room(batch * width)
  const biases = back + room(batch * width)
  const rest = biases + room(gates)
  clearFlags(dresets, dmask, tokens)
  begin(bias, biases, gates)
  found(h, h0, resets, before, batch, time, width)
  found(c, c0, resets, cells, batch, time, width)
  throughWeight(before, weight, recurrent, rest, tokens, gates, width)
  memory.fill(gh, 0, <usize>batch * row)
  memory.fill(gc, 0, <usize>batch * row)
  for (let t = time - 1; t >= 0; t--) {
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      const at = 4 * token * row
      const one = token * row
      const here = n * row
      addRow(dh + one, gh + here, row)
      addRow(dc + one, gc + here, row)
      if (mask === 0 || isSet(mask, token)) {
        stepBack(
          projected + at,
          recurrent + at,
          biases,
          cells + one,
          c + one,
          gh + here,
          gc + here,
          dprojected + at,
          width,
        )
        memory.fill(gh + here, 0, row)
      } else memory.fill(dprojected + at, 0, 4 * row)
      copyRow(dprojected + at, current + 4 * here, 4 * row)
    }
    backThroughWeight(current, weight, gh, back, rest, batch, gates, width)
    emptyAt(gh, resets, t, batch, time, width)
    emptyAt(gc, resets, t, batch, time, width)
  }
  if (dh0 !== 0) copyRow(gh, dh0, <usize>batch * row)
  if (dc0 !== 0) copyRow(gc, dc0, <usize>batch * row)
  weightGradients(dprojected, before, dweight, dbias, rest, tokens, gates, width)
}
