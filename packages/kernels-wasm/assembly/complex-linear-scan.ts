import { loadSome, madd, storeSome } from './simd'

// Real and imaginary parts are tensors of their own. A part of the factor that is the same for all tokens is read from one
// row again and again: its step is 0.

/** h = a h_before + b over one row. */
function scanRow(
  ar: usize,
  ai: usize,
  beforeR: usize,
  beforeI: usize,
  br: usize,
  bi: usize,
  hr: usize,
  hi: usize,
  width: i32,
): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const re = loadSome(ar + at, lanes)
    const im = loadSome(ai + at, lanes)
    const r = loadSome(beforeR + at, lanes)
    const s = loadSome(beforeI + at, lanes)
    storeSome(hr + at, madd(re, r, f32x4.sub(loadSome(br + at, lanes), f32x4.mul(im, s))), lanes)
    storeSome(hi + at, madd(re, s, madd(im, r, loadSome(bi + at, lanes))), lanes)
  }
}

/** Complex h_t = a_t h_{t-1} + b_t on [batch, time, width]; absent h0 parts are 0. `zeros` has room for one row. */
export function complexLinearScan(
  ar: usize,
  ai: usize,
  br: usize,
  bi: usize,
  h0r: usize,
  h0i: usize,
  hr: usize,
  hi: usize,
  zeros: usize,
  batch: i32,
  time: i32,
  width: i32,
  sameReal: bool,
  sameImaginary: bool,
  reverse: bool,
): void {
  const row: usize = (<usize>width) << 2
  const ahead: usize = reverse ? 0 - row : row
  memory.fill(zeros, 0, row)
  for (let n: usize = 0; n < <usize>batch; n++) {
    let at = (n * time + (reverse ? time - 1 : 0)) * row
    let beforeR = h0r === 0 ? zeros : h0r + n * row
    let beforeI = h0i === 0 ? zeros : h0i + n * row
    for (let t = 0; t < time; t++) {
      const re = sameReal ? ar : ar + at
      const im = sameImaginary ? ai : ai + at
      scanRow(re, im, beforeR, beforeI, br + at, bi + at, hr + at, hi + at, width)
      beforeR = hr + at
      beforeI = hi + at
      at += ahead
    }
  }
}

/** From g of one token: da there, set or added, and g = dh + conj(a) g of the token before. */
function backRow(
  ar: usize,
  ai: usize,
  gr: usize,
  gi: usize,
  beforeR: usize,
  beforeI: usize,
  dhr: usize,
  dhi: usize,
  dar: usize,
  dai: usize,
  addReal: bool,
  addImaginary: bool,
  nextR: usize,
  nextI: usize,
  width: i32,
): void {
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const re = loadSome(ar + at, lanes)
    const im = loadSome(ai + at, lanes)
    const x = loadSome(gr + at, lanes)
    const y = loadSome(gi + at, lanes)
    const r = loadSome(beforeR + at, lanes)
    const s = loadSome(beforeI + at, lanes)
    let byReal = madd(x, r, f32x4.mul(y, s))
    let byImaginary = f32x4.sub(f32x4.mul(y, r), f32x4.mul(x, s))
    if (addReal) byReal = f32x4.add(byReal, loadSome(dar + at, lanes))
    if (addImaginary) byImaginary = f32x4.add(byImaginary, loadSome(dai + at, lanes))
    storeSome(dar + at, byReal, lanes)
    storeSome(dai + at, byImaginary, lanes)
    storeSome(nextR + at, madd(re, x, madd(im, y, loadSome(dhr + at, lanes))), lanes)
    storeSome(nextI + at, madd(re, y, f32x4.sub(loadSome(dhi + at, lanes), f32x4.mul(im, x))), lanes)
  }
}

/**
 * From dh: g_t = dh_t + conj(a_{t+1}) g_{t+1} runs against the scan; db = g, da_t = g_t conj(h_{t-1}), summed over tokens
 * where a is the same for all, and dh0 = conj(a_0) g_0, each part unless it is 0. `rows` has room for three rows.
 */
export function complexLinearScanBackward(
  ar: usize,
  ai: usize,
  h0r: usize,
  h0i: usize,
  hr: usize,
  hi: usize,
  dhr: usize,
  dhi: usize,
  dar: usize,
  dai: usize,
  dbr: usize,
  dbi: usize,
  dh0r: usize,
  dh0i: usize,
  rows: usize,
  batch: i32,
  time: i32,
  width: i32,
  sameReal: bool,
  sameImaginary: bool,
  reverse: bool,
): void {
  const row: usize = (<usize>width) << 2
  const ahead: usize = reverse ? 0 - row : row
  memory.fill(rows, 0, row)
  if (sameReal) memory.fill(dar, 0, row)
  if (sameImaginary) memory.fill(dai, 0, row)
  for (let n: usize = 0; n < <usize>batch; n++) {
    let at = (n * time + (reverse ? 0 : time - 1)) * row
    memory.copy(dbr + at, dhr + at, row)
    memory.copy(dbi + at, dhi + at, row)
    for (let t = time - 1; t >= 0; t--) {
      const before = at - ahead
      // what stands before the first token is h0, whose own cotangent is all that reaches it
      const first = t === 0
      backRow(
        sameReal ? ar : ar + at,
        sameImaginary ? ai : ai + at,
        dbr + at,
        dbi + at,
        first ? (h0r === 0 ? rows : h0r + n * row) : hr + before,
        first ? (h0i === 0 ? rows : h0i + n * row) : hi + before,
        first ? rows : dhr + before,
        first ? rows : dhi + before,
        sameReal ? dar : dar + at,
        sameImaginary ? dai : dai + at,
        sameReal,
        sameImaginary,
        first ? (dh0r === 0 ? rows + row : dh0r + n * row) : dbr + before,
        first ? (dh0i === 0 ? rows + 2 * row : dh0i + n * row) : dbi + before,
        width,
      )
      at = before
    }
  }
}
