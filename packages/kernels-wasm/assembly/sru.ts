import { addRow, copyRow } from './rows'
import { loadSome, madd, sigmoid4, storeSome } from './simd'
import { begin, clearFlags, emptyAt, found } from './token-loop'
import { isSet } from './wkv4'

/** Of one token: `state` goes from before it to after it. */
function step(candidate: usize, forget: usize, peephole: usize, state: usize, width: i32): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const u = loadSome(candidate + at, lanes)
    const last = loadSome(state + at, lanes)
    const f = sigmoid4(madd(loadSome(peephole + at, lanes), last, loadSome(forget + at, lanes)))
    storeSome(state + at, madd(f, f32x4.sub(last, u), u), lanes)
  }
}

/** c [batch, time, width], with `state` [batch, width] to work in; absent inputs are 0. */
export function sru(
  candidate: usize,
  forget: usize,
  peephole: usize,
  resets: usize,
  mask: usize,
  c0: usize,
  c: usize,
  state: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  begin(c0, state, batch * width)
  for (let t: usize = 0; t < <usize>time; t++) {
    emptyAt(state, resets, t, batch, time, width)
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      if (mask === 0 || isSet(mask, token)) {
        step(candidate + token * row, forget + token * row, peephole, state + n * row, width)
      }
      copyRow(state + n * row, c + token * row, row)
    }
  }
}

/** Of one token: `g` goes from the cotangent of c after it to that before it. */
function stepBack(
  candidate: usize,
  forget: usize,
  peephole: usize,
  before: usize,
  g: usize,
  dcandidate: usize,
  dforget: usize,
  dpeephole: usize,
  width: i32,
): void {
  const one = f32x4.splat(1)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const u = loadSome(candidate + at, lanes)
    const v = loadSome(peephole + at, lanes)
    const last = loadSome(before + at, lanes)
    const f = sigmoid4(madd(v, last, loadSome(forget + at, lanes)))
    const shut = f32x4.sub(one, f)
    const dc = loadSome(g + at, lanes)
    const dk = f32x4.mul(f32x4.mul(dc, f32x4.sub(last, u)), f32x4.mul(f, shut))
    storeSome(dcandidate + at, f32x4.mul(dc, shut), lanes)
    storeSome(dforget + at, dk, lanes)
    storeSome(dpeephole + at, madd(dk, last, loadSome(dpeephole + at, lanes)), lanes)
    storeSome(g + at, madd(dk, v, f32x4.mul(dc, f)), lanes)
  }
}

/** Gradients of all inputs; those of absent inputs are 0. `before` [batch, time, width] and `g` [batch, width] to work in. */
export function sruBackward(
  candidate: usize,
  forget: usize,
  peephole: usize,
  resets: usize,
  mask: usize,
  c0: usize,
  c: usize,
  dc: usize,
  dcandidate: usize,
  dforget: usize,
  dpeephole: usize,
  dresets: usize,
  dmask: usize,
  dc0: usize,
  before: usize,
  g: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  clearFlags(dresets, dmask, batch * time)
  found(c, c0, resets, before, batch, time, width)
  memory.fill(dpeephole, 0, row)
  memory.fill(g, 0, <usize>batch * row)
  for (let t = time - 1; t >= 0; t--) {
    for (let n: usize = 0; n < <usize>batch; n++) {
      const token = n * time + t
      const at = token * row
      const dstate = g + n * row
      addRow(dc + at, dstate, row)
      if (mask === 0 || isSet(mask, token)) {
        stepBack(
          candidate + at,
          forget + at,
          peephole,
          before + at,
          dstate,
          dcandidate + at,
          dforget + at,
          dpeephole,
          width,
        )
      } else {
        memory.fill(dcandidate + at, 0, row)
        memory.fill(dforget + at, 0, row)
      }
    }
    emptyAt(g, resets, t, batch, time, width)
  }
  if (dc0 !== 0) copyRow(g, dc0, <usize>batch * row)
}
