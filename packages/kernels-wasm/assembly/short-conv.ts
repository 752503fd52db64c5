import { loadSome, madd, storeSome } from './simd'

// Rows of the tail and rows of x after them are one sequence, of which token t reads rows t to t + taps - 1. Taps are
// turned to [taps, width] beforehand, so that all walks are along channels.

function stride(width: i32): usize {
  return (<usize>((width + 3) & ~3)) << 2
}

/** Bytes of working memory, forward or backward. */
export function shortConvScratch(width: i32, taps: i32): usize {
  return stride(width) * <usize>(2 * taps + 1)
}

/** [width, taps] to [taps, width], each row a whole number of vectors. */
function turn(weight: usize, to: usize, width: i32, taps: i32): void {
  const next = stride(width)
  for (let d = 0; d < width; d++) {
    for (let j = 0; j < taps; j++) {
      f32.store(to + <usize>j * next + ((<usize>d) << 2), f32.load(weight))
      weight += 4
    }
  }
}

/** One token: the first `fromTail` taps read `tail`, zeros where that is 0, and the others `x`. */
function convRow(
  tail: usize,
  x: usize,
  taps: usize,
  bias: usize,
  y: usize,
  fromTail: i32,
  count: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    let sum = bias === 0 ? f32x4.splat(0) : loadSome(bias + at, lanes)
    let tap = taps + at
    let from = tail + at
    if (tail === 0) tap += <usize>fromTail * next
    else {
      for (let j = 0; j < fromTail; j++) {
        sum = madd(v128.load(tap), loadSome(from, lanes), sum)
        tap += next
        from += row
      }
    }
    from = x + at
    for (let j = fromTail; j < count; j++) {
      sum = madd(v128.load(tap), loadSome(from, lanes), sum)
      tap += next
      from += row
    }
    storeSome(y + at, sum, lanes)
  }
}

/** y_t = bias + sum_j w_j x_{t - (taps - 1) + j} on [batch, time, width], and the last taps - 1 inputs; absent: 0. */
export function shortConv(
  x: usize,
  weight: usize,
  bias: usize,
  tail: usize,
  y: usize,
  last: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  taps: i32,
): void {
  const row = (<usize>width) << 2
  const past = taps - 1
  turn(weight, scratch, width, taps)
  for (let n = 0; n < batch; n++) {
    const ofTail = <usize>(n * past) * row
    const ofX = <usize>(n * time) * row
    for (let t = 0; t < time; t++) {
      const fromTail = max(0, past - t)
      const before = tail === 0 ? 0 : tail + ofTail + <usize>t * row
      const first = x + ofX + <usize>(t - past + fromTail) * row
      convRow(before, first, scratch, bias, y + ofX + <usize>t * row, fromTail, taps, width)
    }
    for (let p = 0; p < past; p++) {
      const to = last + ofTail + <usize>p * row
      const at = time + p
      if (at >= past) memory.copy(to, x + ofX + <usize>(at - past) * row, row)
      else if (tail === 0) memory.fill(to, 0, row)
      else memory.copy(to, tail + ofTail + <usize>at * row, row)
    }
  }
}

/** What row e of the whole sequence got: sum_j w_j dy_{e - j}, for the tokens that there are, and `added` unless 0. */
function backRow(dy: usize, taps: usize, added: usize, to: usize, e: i32, time: i32, count: i32, width: i32): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  const begin = max(0, e - time + 1)
  const end = min(count, e + 1)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    let sum = added === 0 ? f32x4.splat(0) : loadSome(added + at, lanes)
    for (let j = begin; j < end; j++) {
      sum = madd(v128.load(taps + <usize>j * next + at), loadSome(dy + <usize>(e - j) * row + at, lanes), sum)
    }
    storeSome(to + at, sum, lanes)
  }
}

/** Adds dy_t times each of the rows that token t has read to the taps' gradients. */
function tapRow(
  tail: usize,
  x: usize,
  dy: usize,
  dtaps: usize,
  dbias: usize,
  fromTail: i32,
  count: i32,
  width: i32,
): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  for (let i = 0; i < width; i += 4) {
    const at = (<usize>i) << 2
    const lanes = min(4, width - i)
    const g = loadSome(dy + at, lanes)
    v128.store(dbias + at, f32x4.add(v128.load(dbias + at), g))
    for (let j = tail === 0 ? fromTail : 0; j < count; j++) {
      const from = j < fromTail ? tail + <usize>j * row : x + <usize>(j - fromTail) * row
      const tap = dtaps + <usize>j * next + at
      v128.store(tap, madd(g, loadSome(from + at, lanes), v128.load(tap)))
    }
  }
}

/** Gradients of all inputs; those of absent inputs are 0. */
export function shortConvBackward(
  x: usize,
  weight: usize,
  tail: usize,
  dy: usize,
  dlast: usize,
  dx: usize,
  dweight: usize,
  dbias: usize,
  dtail: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  taps: i32,
): void {
  const row = (<usize>width) << 2
  const next = stride(width)
  const past = taps - 1
  const dtaps = scratch + <usize>taps * next
  const biases = dtaps + <usize>taps * next
  turn(weight, scratch, width, taps)
  memory.fill(dtaps, 0, <usize>(taps + 1) * next)
  for (let n = 0; n < batch; n++) {
    const ofTail = <usize>(n * past) * row
    const ofX = <usize>(n * time) * row
    for (let t = 0; t < time; t++) {
      const fromTail = max(0, past - t)
      const before = tail === 0 ? 0 : tail + ofTail + <usize>t * row
      const first = x + ofX + <usize>(t - past + fromTail) * row
      tapRow(before, first, dy + ofX + <usize>t * row, dtaps, biases, fromTail, taps, width)
    }
    for (let e = dtail === 0 ? past : 0; e < time + past; e++) {
      const to = e < past ? dtail + ofTail + <usize>e * row : dx + ofX + <usize>(e - past) * row
      const added = e < time ? 0 : dlast + ofTail + <usize>(e - time) * row
      backRow(dy + ofX, scratch, added, to, e, time, taps, width)
    }
  }
  for (let d = 0; d < width; d++) {
    for (let j = 0; j < taps; j++) {
      f32.store(dweight, f32.load(dtaps + <usize>j * next + ((<usize>d) << 2)))
      dweight += 4
    }
  }
  if (dbias !== 0) memory.copy(dbias, biases, row)
}
