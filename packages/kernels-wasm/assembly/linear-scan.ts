import { madd } from './simd'

/**
 * h_t = a_t h_{t-1} + b_t on [batch, time, width]; `h0` [batch, width] or 0. One pass: rows stream by, and the row
 * before is still in the first-level cache.
 */
export function linearScan(
  a: usize,
  b: usize,
  h0: usize,
  h: usize,
  batch: i32,
  time: i32,
  width: i32,
  reverse: bool,
): void {
  const row: usize = width << 2
  const ahead: usize = reverse ? 0 - row : row
  for (let n: usize = 0; n < <usize>batch; n++) {
    let at = (n * time + (reverse ? time - 1 : 0)) * row
    if (h0 === 0) memory.copy(h + at, b + at, row)
    else scanRow(a + at, h0 + n * row, b + at, h + at, row, reverse)
    for (let t = 1; t < time; t++) {
      at += ahead
      scanRow(a + at, h + at - ahead, b + at, h + at, row, reverse)
    }
  }
}

/** Within a row, too, memory is walked in the direction of the rows: hardware foresees only a steady walk. */
function scanRow(a: usize, before: usize, b: usize, h: usize, row: usize, backwards: bool): void {
  const whole = row & ~15
  const step: usize = backwards ? 0 - 16 : 16
  let i: usize = backwards ? whole - 16 : 0
  for (let left = whole; left > 0; left -= 16) {
    v128.store(h + i, madd(v128.load(a + i), v128.load(before + i), v128.load(b + i)))
    i += step
  }
  for (i = whole; i < row; i += 4) f32.store(h + i, f32.load(a + i) * f32.load(before + i) + f32.load(b + i))
}

/**
 * From dh: g_t = dh_t + a_{t+1} g_{t+1} runs against the scan; db = g, da_t = g_t h_{t-1}, and dh0 = a_0 g_0 where
 * `dh0` is not 0. One pass over a, h and dh.
 */
export function linearScanBackward(
  a: usize,
  h0: usize,
  h: usize,
  dh: usize,
  da: usize,
  db: usize,
  dh0: usize,
  batch: i32,
  time: i32,
  width: i32,
  reverse: bool,
): void {
  const row: usize = width << 2
  const ahead: usize = reverse ? 0 - row : row
  for (let n: usize = 0; n < <usize>batch; n++) {
    let at = (n * time + (reverse ? 0 : time - 1)) * row
    memory.copy(db + at, dh + at, row)
    for (let t = 1; t < time; t++) {
      const before = at - ahead
      backRow(a + at, db + at, h + before, dh + before, da + at, db + before, row, !reverse)
      at = before
    }
    if (h0 === 0) memory.fill(da + at, 0, row)
    else productRow(db + at, h0 + n * row, da + at, row)
    if (dh0 !== 0) productRow(a + at, db + at, dh0 + n * row, row)
  }
}

/** From g of one token: da there, and g of the token before. */
function backRow(
  a: usize,
  g: usize,
  hBefore: usize,
  dhBefore: usize,
  da: usize,
  gBefore: usize,
  row: usize,
  backwards: bool,
): void {
  const whole = row & ~15
  const step: usize = backwards ? 0 - 16 : 16
  let i: usize = backwards ? whole - 16 : 0
  for (let left = whole; left > 0; left -= 16) {
    const cotangent = v128.load(g + i)
    v128.store(gBefore + i, madd(v128.load(a + i), cotangent, v128.load(dhBefore + i)))
    v128.store(da + i, f32x4.mul(cotangent, v128.load(hBefore + i)))
    i += step
  }
  for (i = whole; i < row; i += 4) {
    const cotangent = f32.load(g + i)
    f32.store(gBefore + i, f32.load(a + i) * cotangent + f32.load(dhBefore + i))
    f32.store(da + i, cotangent * f32.load(hBefore + i))
  }
}

function productRow(x: usize, y: usize, out: usize, row: usize): void {
  const whole = row & ~15
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(out + i, f32x4.mul(v128.load(x + i), v128.load(y + i)))
  for (; i < row; i += 4) f32.store(out + i, f32.load(x + i) * f32.load(y + i))
}
