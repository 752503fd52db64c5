import { addRow, copyRow } from './rows'
import { loadSome, madd, storeSome, tanh4 } from './simd'
import {
  backThroughWeight,
  begin,
  clearFlags,
  emptyAt,
  found,
  productScratch,
  room,
  throughWeight,
  weightGradients,
} from './token-loop'
import { isSet } from './wkv4'

/** Bytes of working memory. */
export function leakyRnnScratch(batch: i32, width: i32): usize {
  return 2 * room(batch * width) + productScratch(1, width, width)
}

/** Of one token: `state` goes from before it to after it. */
function step(projected: usize, recurrent: usize, state: usize, leak: v128, width: i32): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const seen = tanh4(f32x4.add(loadSome(projected + at, lanes), loadSome(recurrent + at, lanes)))
    const last = loadSome(state + at, lanes)
    storeSome(state + at, madd(leak, f32x4.sub(seen, last), last), lanes)
  }
}

/** h [batch, time, width]; absent inputs are 0. */
export function leakyRnn(
  projected: usize,
  weight: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  h: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  leak: f32,
): void {
  const row = (<usize>width) << 2
  const state = scratch
  const recurrent = state + room(batch * width)
  const rest = recurrent + room(batch * width)
  begin(h0, state, batch * width)
  for (let t: usize = 0; t < <usize>time; t++) {
    emptyAt(state, resets, t, batch, time, width)
    throughWeight(state, weight, recurrent, rest, batch, width, width)
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      if (mask === 0 || isSet(mask, token)) {
        step(projected + token * row, recurrent + n * row, state + n * row, f32x4.splat(leak), width)
      }
      copyRow(state + n * row, h + token * row, row)
    }
  }
}

/** Bytes of working memory. */
export function leakyRnnBackwardScratch(batch: i32, time: i32, width: i32): usize {
  const tokens = batch * time
  return 2 * room(tokens * width) + 3 * room(batch * width) + productScratch(tokens, width, width)
}

/** Of one token: `g` goes from the cotangent of h after it to its direct part before it, `recurrent` to its own. */
function stepBack(projected: usize, recurrent: usize, g: usize, dprojected: usize, leak: v128, width: i32): void {
  const one = f32x4.splat(1)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const seen = tanh4(f32x4.add(loadSome(projected + at, lanes), loadSome(recurrent + at, lanes)))
    const dh = loadSome(g + at, lanes)
    const dseen = f32x4.mul(f32x4.mul(leak, dh), f32x4.sub(one, f32x4.mul(seen, seen)))
    storeSome(dprojected + at, dseen, lanes)
    storeSome(recurrent + at, dseen, lanes)
    storeSome(g + at, f32x4.mul(f32x4.sub(one, leak), dh), lanes)
  }
}

/** Gradients of all inputs; those of absent inputs are 0. */
export function leakyRnnBackward(
  projected: usize,
  weight: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  h: usize,
  dh: usize,
  dprojected: usize,
  dweight: usize,
  dresets: usize,
  dmask: usize,
  dh0: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  leak: f32,
): void {
  const row = (<usize>width) << 2
  const tokens = batch * time
  const before = scratch
  // products, which become their cotangents from the last token to the first
  const recurrent = before + room(tokens * width)
  const current = recurrent + room(tokens * width)
  const g = current + room(batch * width)
  const back = g + room(batch * width)
  const rest = back + room(batch * width)
  clearFlags(dresets, dmask, tokens)
  found(h, h0, resets, before, batch, time, width)
  throughWeight(before, weight, recurrent, rest, tokens, width, width)
  memory.fill(g, 0, <usize>batch * row)
  for (let t = time - 1; t >= 0; t--) {
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      const at = token * row
      addRow(dh + at, g + n * row, row)
      if (mask === 0 || isSet(mask, token)) {
        stepBack(projected + at, recurrent + at, g + n * row, dprojected + at, f32x4.splat(leak), width)
      } else {
        memory.fill(dprojected + at, 0, row)
        memory.fill(recurrent + at, 0, row)
      }
      copyRow(recurrent + at, current + n * row, row)
    }
    backThroughWeight(current, weight, g, back, rest, batch, width, width)
    emptyAt(g, resets, t, batch, time, width)
  }
  if (dh0 !== 0) copyRow(g, dh0, <usize>batch * row)
  weightGradients(recurrent, before, dweight, 0, rest, tokens, width, width)
}
