import { sumRows } from './affine'
import { matMul } from './mat-mul'
import { addRow, copyRow } from './rows'
import { exp4, loadSome, madd, sigmoid4, softplus4, storeSome, tanh4 } from './simd'
import { begin, clearFlags, emptyAt, found, productScratch, room, sum3 } from './token-loop'
import { isSet } from './wkv4'

// Products go head by head: there a state is [heads, rows, K] and a product [heads, rows, 4K], gates side by side.

/** Far below the stabiliser of anything written. */
const EMPTY: f32 = -1e30

/** Bytes of working memory. */
export function slstmScratch(batch: i32, heads: i32, head: i32): usize {
  const width = heads * head
  return 5 * room(batch * width) + room(batch * 4 * width) + room(4 * width) + productScratch(1, 4 * head, head)
}

/** Rows [rows, heads, K] to [heads, rows, K]. */
function byHead(from: usize, to: usize, rows: i32, heads: i32, head: i32): void {
  const part = (<usize>head) << 2
  for (let n: usize = 0; n < <usize>rows; n++) {
    for (let k: usize = 0; k < <usize>heads; k++) {
      copyRow(from + (n * heads + k) * part, to + (k * rows + n) * part, part)
    }
  }
}

/** ln σ(f) on top of the stabiliser before; where n = 0, nothing is left of it. */
function decayed(f: v128, max: v128, norm: v128): v128 {
  const fresh = v128.and(f32x4.eq(norm, f32x4.splat(0)), f32x4.splat(EMPTY))
  return f32x4.add(f32x4.sub(max, softplus4(f32x4.neg(f))), fresh)
}

/** One token of one head: states go from before it to after it. Gates lie `apart` bytes apart in `projected` and `bias`. */
function step(
  projected: usize,
  bias: usize,
  apart: usize,
  recurrent: usize,
  h: usize,
  c: usize,
  n: usize,
  m: usize,
  head: i32,
): void {
  const row = (<usize>head) << 2
  for (let k = 0; k < head; k += 4) {
    const at = (<usize>k) << 2
    const lanes = min(4, head - k)
    const p = projected + at
    const b = bias + at
    const r = recurrent + at
    const i = sum3(p, r, b, lanes)
    const f = sum3(p + apart, r + row, b + apart, lanes)
    const z = tanh4(sum3(p + 2 * apart, r + 2 * row, b + 2 * apart, lanes))
    const o = sigmoid4(sum3(p + 3 * apart, r + 3 * row, b + 3 * apart, lanes))
    const norm = loadSome(n + at, lanes)
    const old = decayed(f, loadSome(m + at, lanes), norm)
    const max = f32x4.pmax(i, old)
    const written = exp4(f32x4.sub(i, max))
    const kept = exp4(f32x4.sub(old, max))
    const memory = madd(kept, loadSome(c + at, lanes), f32x4.mul(written, z))
    const total = madd(kept, norm, written)
    storeSome(c + at, memory, lanes)
    storeSome(n + at, total, lanes)
    storeSome(m + at, max, lanes)
    storeSome(h + at, f32x4.div(f32x4.mul(o, memory), total), lanes)
  }
}

/** h, c, n and m [batch, time, heads K]; absent inputs are 0. */
export function slstm(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  c0: usize,
  n0: usize,
  m0: usize,
  h: usize,
  c: usize,
  n: usize,
  m: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  heads: i32,
  head: i32,
): void {
  const width = heads * head
  const row = (<usize>width) << 2
  const part = (<usize>head) << 2
  const apart = room(batch * width)
  const state = scratch
  const split = state + 4 * apart
  const recurrent = split + apart
  const biases = recurrent + room(batch * 4 * width)
  const rest = biases + room(4 * width)
  begin(bias, biases, 4 * width)
  begin(h0, state, batch * width)
  begin(c0, state + apart, batch * width)
  begin(n0, state + 2 * apart, batch * width)
  begin(m0, state + 3 * apart, batch * width)
  for (let t: usize = 0; t < <usize>time; t++) {
    for (let s: usize = 0; s < 4; s++) emptyAt(state + s * apart, resets, t, batch, time, width)
    byHead(state, split, batch, heads, head)
    matMul(split, weight, recurrent, rest, heads, part * batch, 4 * part * head, batch, 4 * head, head, false, true)
    for (let b: usize = 0; b < <usize>batch; b++) {
      const token = b * time + t
      const here = state + b * row
      if (mask === 0 || isSet(mask, token)) {
        for (let k: usize = 0; k < <usize>heads; k++) {
          const at = here + k * part
          step(
            projected + 4 * token * row + k * part,
            biases + k * part,
            row,
            recurrent + 4 * (k * batch + b) * part,
            at,
            at + apart,
            at + 2 * apart,
            at + 3 * apart,
            head,
          )
        }
      }
      copyRow(here, h + token * row, row)
      copyRow(here + apart, c + token * row, row)
      copyRow(here + 2 * apart, n + token * row, row)
      copyRow(here + 3 * apart, m + token * row, row)
    }
  }
}

/** Bytes of working memory. */
export function slstmBackwardScratch(batch: i32, time: i32, heads: i32, head: i32): usize {
  const width = heads * head
  const tokens = batch * time
  return (
    5 * room(tokens * width) +
    room(tokens * 4 * width) +
    room(batch * 4 * width) +
    5 * room(batch * width) +
    room(4 * width) +
    productScratch(tokens, 4 * head, head)
  )
}

/** One token of one head: cotangents of c, n and m go from after it to before it; `dh` is that of h after it. */
function stepBack(
  projected: usize,
  bias: usize,
  apart: usize,
  recurrent: usize,
  c: usize,
  n: usize,
  m: usize,
  dh: usize,
  dc: usize,
  dn: usize,
  dm: usize,
  dprojected: usize,
  head: i32,
): void {
  const row = (<usize>head) << 2
  const one = f32x4.splat(1)
  for (let k = 0; k < head; k += 4) {
    const at = (<usize>k) << 2
    const lanes = min(4, head - k)
    const p = projected + at
    const b = bias + at
    const r = recurrent + at
    const i = sum3(p, r, b, lanes)
    const f = sum3(p + apart, r + row, b + apart, lanes)
    const z = tanh4(sum3(p + 2 * apart, r + 2 * row, b + 2 * apart, lanes))
    const o = sigmoid4(sum3(p + 3 * apart, r + 3 * row, b + 3 * apart, lanes))
    const memory = loadSome(c + at, lanes)
    const norm = loadSome(n + at, lanes)
    const old = decayed(f, loadSome(m + at, lanes), norm)
    const max = f32x4.pmax(i, old)
    const written = exp4(f32x4.sub(i, max))
    const kept = exp4(f32x4.sub(old, max))
    const total = madd(kept, norm, written)
    const ratio = f32x4.div(madd(kept, memory, f32x4.mul(written, z)), total)
    const given = loadSome(dh + at, lanes)
    const shown = f32x4.div(f32x4.mul(given, o), total)
    const gc = f32x4.add(loadSome(dc + at, lanes), shown)
    const gn = f32x4.sub(loadSome(dn + at, lanes), f32x4.mul(shown, ratio))
    const byKept = f32x4.mul(kept, madd(gc, memory, f32x4.mul(gn, norm)))
    const byWritten = f32x4.mul(written, madd(gc, z, gn))
    const byMax = f32x4.sub(loadSome(dm + at, lanes), f32x4.add(byKept, byWritten))
    const larger = f32x4.ge(i, old)
    const gi = f32x4.add(byWritten, v128.and(byMax, larger))
    const gOld = f32x4.add(byKept, v128.andnot(byMax, larger))
    const gf = f32x4.mul(gOld, sigmoid4(f32x4.neg(f)))
    const gz = f32x4.mul(f32x4.mul(gc, written), f32x4.sub(one, f32x4.mul(z, z)))
    const go = f32x4.mul(f32x4.mul(given, ratio), f32x4.mul(o, f32x4.sub(one, o)))
    storeSome(dprojected + at, gi, lanes)
    storeSome(dprojected + apart + at, gf, lanes)
    storeSome(dprojected + 2 * apart + at, gz, lanes)
    storeSome(dprojected + 3 * apart + at, go, lanes)
    storeSome(recurrent + at, gi, lanes)
    storeSome(recurrent + row + at, gf, lanes)
    storeSome(recurrent + 2 * row + at, gz, lanes)
    storeSome(recurrent + 3 * row + at, go, lanes)
    storeSome(dc + at, f32x4.mul(gc, kept), lanes)
    storeSome(dn + at, f32x4.mul(gn, kept), lanes)
    storeSome(dm + at, gOld, lanes)
  }
}

/** Gradients of all inputs; those of absent inputs are 0. */
export function slstmBackward(
  projected: usize,
  weight: usize,
  bias: usize,
  resets: usize,
  mask: usize,
  h0: usize,
  c0: usize,
  n0: usize,
  m0: usize,
  h: usize,
  c: usize,
  n: usize,
  m: usize,
  dh: usize,
  dc: usize,
  dn: usize,
  dm: usize,
  dprojected: usize,
  dweight: usize,
  dbias: usize,
  dresets: usize,
  dmask: usize,
  dh0: usize,
  dc0: usize,
  dn0: usize,
  dm0: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  heads: i32,
  head: i32,
): void {
  const width = heads * head
  const row = (<usize>width) << 2
  const part = (<usize>head) << 2
  const tokens = batch * time
  const all = room(tokens * width)
  const apart = room(batch * width)
  const before = scratch
  const split = before + 4 * all
  const recurrent = split + all
  const current = recurrent + room(tokens * 4 * width)
  const g = current + room(batch * 4 * width)
  const back = g + 4 * apart
  const biases = back + apart
  const rest = biases + room(4 * width)
  const matrix = 4 * part * head
  clearFlags(dresets, dmask, tokens)
  begin(bias, biases, 4 * width)
  found(h, h0, resets, before, batch, time, width)
  found(c, c0, resets, before + all, batch, time, width)
  found(n, n0, resets, before + 2 * all, batch, time, width)
  found(m, m0, resets, before + 3 * all, batch, time, width)
  byHead(before, split, tokens, heads, head)
  matMul(split, weight, recurrent, rest, heads, part * tokens, matrix, tokens, 4 * head, head, false, true)
  memory.fill(g, 0, 4 * apart)
  for (let t = time - 1; t >= 0; t--) {
    for (let b: usize = 0; b < <usize>batch; b++) {
      const token = b * time + t
      const one = token * row
      const here = g + b * row
      const there = mask === 0 || isSet(mask, token)
      addRow(dh + one, here, row)
      addRow(dc + one, here + apart, row)
      addRow(dn + one, here + 2 * apart, row)
      addRow(dm + one, here + 3 * apart, row)
      if (!there) memory.fill(dprojected + 4 * one, 0, 4 * row)
      for (let k: usize = 0; k < <usize>heads; k++) {
        const at = before + one + k * part
        const gates = recurrent + 4 * (k * tokens + token) * part
        const from = here + k * part
        if (there) {
          stepBack(
            projected + 4 * one + k * part,
            biases + k * part,
            row,
            gates,
            at + all,
            at + 2 * all,
            at + 3 * all,
            from,
            from + apart,
            from + 2 * apart,
            from + 3 * apart,
            dprojected + 4 * one + k * part,
            head,
          )
        } else memory.fill(gates, 0, 4 * part)
        copyRow(gates, current + 4 * (k * batch + b) * part, 4 * part)
      }
      if (there) memory.fill(here, 0, row)
    }
    matMul(current, weight, back, rest, heads, 4 * part * batch, matrix, batch, head, 4 * head, false, false)
    for (let k: usize = 0; k < <usize>heads; k++) {
      for (let b: usize = 0; b < <usize>batch; b++) {
        addRow(back + (k * batch + b) * part, g + b * row + k * part, part)
      }
    }
    for (let s: usize = 0; s < 4; s++) emptyAt(g + s * apart, resets, t, batch, time, width)
  }
  if (dh0 !== 0) copyRow(g, dh0, <usize>batch * row)
  if (dc0 !== 0) copyRow(g + apart, dc0, <usize>batch * row)
  if (dn0 !== 0) copyRow(g + 2 * apart, dn0, <usize>batch * row)
  if (dm0 !== 0) copyRow(g + 3 * apart, dm0, <usize>batch * row)
  const gates = 4 * part * tokens
  matMul(recurrent, split, dweight, rest, heads, gates, part * tokens, 4 * head, head, tokens, true, false)
  if (dbias !== 0) sumRows(dprojected, dbias, tokens, 4 * width)
}
