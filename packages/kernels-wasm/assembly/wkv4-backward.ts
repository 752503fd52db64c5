import { loadSome, madd, storeSome } from './simd'
import { counterweight, empty, gapTo, isSet, load, rates, smaller, stride, weight, write } from './wkv4'

/** Tokens whose states the backward pass holds at once: about 256 KB, or the root of the time where that is more. */
function chunkOf(time: i32, width: i32): i32 {
  return min(time, max(max(16, 16384 / width), <i32>sqrt<f64>(<f64>time)))
}

/** Bytes of working memory. */
export function wkv4BackwardScratch(time: i32, width: i32): usize {
  const chunk = chunkOf(time, width)
  const chunks = (time + chunk - 1) / chunk
  return stride(width) * <usize>(6 + 4 * chunk + 4 * chunks)
}

/**
 * Cotangents of writing one token. `g` is that of the state after it and becomes that of the state before it; dk and dv
 * are set, dw is added to. max passes its cotangent on to the larger of the two it came from.
 */
function backWrite(
  k: usize,
  v: usize,
  w: usize,
  state: usize,
  g: usize,
  dk: usize,
  dv: usize,
  dw: usize,
  width: i32,
  next: usize,
): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const gap = gapTo(loadSome(k + at, lanes), v128.load(w + at), state + at, next, 1)
    const e = smaller(gap)
    const old = weight(gap, e)
    const recent = counterweight(gap, e)
    const gNum = v128.load(g + at)
    const gDen = v128.load(g + next + at)
    const gMax = v128.load(g + 2 * next + at)
    const byOld = f32x4.mul(old, madd(gNum, v128.load(state + at), f32x4.mul(gDen, v128.load(state + next + at))))
    const byRecent = f32x4.mul(recent, madd(gNum, loadSome(v + at, lanes), gDen))
    const older = f32x4.ge(gap, f32x4.splat(0))
    const byDecayed = v128.bitselect(f32x4.sub(gMax, byRecent), byOld, older)
    storeSome(dk + at, v128.bitselect(byRecent, f32x4.sub(gMax, byOld), older), lanes)
    storeSome(dv + at, f32x4.mul(recent, gNum), lanes)
    v128.store(g + at, f32x4.mul(old, gNum))
    v128.store(g + next + at, f32x4.mul(old, gDen))
    v128.store(g + 2 * next + at, byDecayed)
    v128.store(dw + at, f32x4.add(v128.load(dw + at), byDecayed))
  }
}

/** Cotangents of reading one token: g, dk, dv and du are added to. Nothing hangs on the max that both weights share. */
function backRead(
  k: usize,
  v: usize,
  w: usize,
  u: usize,
  state: usize,
  dy: usize,
  g: usize,
  dk: usize,
  dv: usize,
  du: usize,
  width: i32,
  next: usize,
): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const num = v128.load(state + at)
    const den = v128.load(state + next + at)
    const value = loadSome(v + at, lanes)
    const exponent = f32x4.add(loadSome(k + at, lanes), loadSome(u + at, lanes))
    const gap = gapTo(exponent, v128.load(w + at), state + at, next, 0)
    const e = smaller(gap)
    const old = weight(gap, e)
    const recent = counterweight(gap, e)
    const inverse = f32x4.div(f32x4.splat(1), madd(old, den, recent))
    const y = f32x4.mul(madd(old, num, f32x4.mul(recent, value)), inverse)
    const gNum = f32x4.mul(loadSome(dy + at, lanes), inverse)
    const gDen = f32x4.neg(f32x4.mul(gNum, y))
    const byOld = f32x4.mul(old, madd(gNum, num, f32x4.mul(gDen, den)))
    const byRecent = f32x4.mul(recent, madd(gNum, value, gDen))
    storeSome(dk + at, f32x4.add(loadSome(dk + at, lanes), byRecent), lanes)
    storeSome(dv + at, madd(recent, gNum, loadSome(dv + at, lanes)), lanes)
    v128.store(g + at, madd(old, gNum, v128.load(g + at)))
    v128.store(g + next + at, madd(old, gDen, v128.load(g + next + at)))
    v128.store(g + 2 * next + at, f32x4.add(v128.load(g + 2 * next + at), byOld))
    v128.store(du + at, f32x4.add(v128.load(du + at), byRecent))
  }
}

/** Gradients of all inputs; those of absent inputs are 0, and those of resets and mask are filled with zeros. */
export function wkv4Backward(
  k: usize,
  v: usize,
  decay: usize,
  u: usize,
  resets: usize,
  mask: usize,
  num: usize,
  den: usize,
  max: usize,
  dy: usize,
  dLastNum: usize,
  dLastDen: usize,
  dLastMax: usize,
  dk: usize,
  dv: usize,
  ddecay: usize,
  du: usize,
  dresets: usize,
  dmask: usize,
  dnum: usize,
  dden: usize,
  dmax: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  const chunk = chunkOf(time, width)
  const chunks = (time + chunk - 1) / chunk
  const w = scratch
  const dw = w + next
  const dus = dw + next
  const g = dus + next
  const states = g + 3 * next
  const borders = states + <usize>chunk * 4 * next
  rates(decay, w, width)
  memory.fill(dw, 0, 2 * next)
  if (dresets !== 0) memory.fill(dresets, 0, (<usize>(batch * time)) << 2)
  if (dmask !== 0) memory.fill(dmask, 0, (<usize>(batch * time)) << 2)
  for (let n: usize = 0; n < <usize>batch; n++) {
    load(num, den, max, n * row, borders, width, next)
    for (let i = 0; i < chunks - 1; i++) {
      const border = borders + <usize>i * 4 * next
      memory.copy(border + 4 * next, border, 4 * next)
      for (let t = i * chunk; t < (i + 1) * chunk; t++) {
        const token = n * time + t
        const state = border + 4 * next
        if (isSet(resets, token)) empty(state, width, next)
        if (mask === 0 || isSet(mask, token)) {
          write(k + token * row, v + token * row, w, state, state, width, next)
        }
      }
    }
    memory.fill(g, 0, 3 * next)
    memory.copy(g, dLastNum + n * row, row)
    memory.copy(g + next, dLastDen + n * row, row)
    memory.copy(g + 2 * next, dLastMax + n * row, row)
    for (let i = chunks - 1; i >= 0; i--) {
      const first = i * chunk
      const count = min(chunk, time - first)
      memory.copy(states, borders + <usize>i * 4 * next, 4 * next)
      for (let t = 0; t < count; t++) {
        const token = n * time + first + t
        const state = states + <usize>t * 4 * next
        if (isSet(resets, token)) empty(state, width, next)
        if (t === count - 1) break
        if (mask === 0 || isSet(mask, token)) {
          write(k + token * row, v + token * row, w, state, state + 4 * next, width, next)
        } else memory.copy(state + 4 * next, state, 4 * next)
      }
      for (let t = count - 1; t >= 0; t--) {
        const token = n * time + first + t
        const at = token * row
        const state = states + <usize>t * 4 * next
        if (mask === 0 || isSet(mask, token)) {
          backWrite(k + at, v + at, w, state, g, dk + at, dv + at, dw, width, next)
        } else {
          memory.fill(dk + at, 0, row)
          memory.fill(dv + at, 0, row)
        }
        backRead(k + at, v + at, w, u, state, dy + at, g, dk + at, dv + at, dus, width, next)
        if (isSet(resets, token)) memory.fill(g, 0, 3 * next)
      }
    }
    if (dnum !== 0) memory.copy(dnum + n * row, g, row)
    if (dden !== 0) memory.copy(dden + n * row, g + next, row)
    if (dmax !== 0) memory.copy(dmax + n * row, g + 2 * next, row)
  }
  memory.copy(du, dus, row)
  for (let i: usize = 0; i < row; i += 4) f32.store(ddecay + i, f32.load(dw + i) * f32.load(w + i))
}
