import { exp2Below4, loadSome, madd, sigmoid4, softplus4, storeSome } from './simd'

// Four channels are one vector. States of a group of four, and what else is [D, N], lie as N vectors side by side, so that
// a step over the states of a group walks memory in order; input and output matrices of a token are the same for all.

/** Tokens that a group of channels walks before the next group does: their lines of memory are still near for it. */
const STRETCH = 128

export function groupsOf(width: i32): i32 {
  return (width + 3) >> 2
}

export function lanesOf(group: i32, width: i32): i32 {
  return min(4, width - (group << 2))
}

/** Bytes of working memory. */
export function selectiveScanScratch(width: i32, states: i32): usize {
  return (<usize>(2 * groupsOf(width) * states)) << 4
}

/** [D, N] to groups of N vectors, times `factor`; zeros where there is nothing, and in lanes beyond D. */
export function gather(from: usize, to: usize, width: i32, states: i32, factor: f32): void {
  memory.fill(to, 0, (<usize>(groupsOf(width) * states)) << 4)
  if (from === 0) return
  for (let d = 0; d < width; d++) {
    const group = to + ((<usize>((d >> 2) * states)) << 4) + ((<usize>(d & 3)) << 2)
    for (let n = 0; n < states; n++) {
      f32.store(group + ((<usize>n) << 4), factor * f32.load(from))
      from += 4
    }
  }
}

/** Groups of N vectors back to [D, N]. */
export function scatter(from: usize, to: usize, width: i32, states: i32): void {
  for (let d = 0; d < width; d++) {
    const group = from + ((<usize>((d >> 2) * states)) << 4) + ((<usize>(d & 3)) << 2)
    for (let n = 0; n < states; n++) {
      f32.store(to, f32.load(group + ((<usize>n) << 4)))
      to += 4
    }
  }
}

export function isReset(resets: usize, t: i32): bool {
  return resets !== 0 && f32.load(resets + ((<usize>t) << 2)) > 0.5
}

/** One token of one group: states `from` to `to`; `decays` are kept unless 0. Returns C · x. */
export function step(
  dt: v128,
  written: v128,
  a: usize,
  b: usize,
  c: usize,
  from: usize,
  to: usize,
  decays: usize,
  states: i32,
): v128 {
  let read = f32x4.splat(0)
  const end = a + ((<usize>states) << 4)
  while (a < end) {
    const decay = exp2Below4(f32x4.mul(dt, v128.load(a)))
    const x = madd(decay, v128.load(from), f32x4.mul(written, v128.load32_splat(b)))
    v128.store(to, x)
    if (decays !== 0) {
      v128.store(decays, decay)
      decays += 16
    }
    read = madd(x, v128.load32_splat(c), read)
    a += 16
    from += 16
    to += 16
    b += 4
    c += 4
  }
  return read
}

/** As `step`, where the token starts from an empty state. */
export function firstStep(written: v128, b: usize, c: usize, to: usize, decays: usize, states: i32): v128 {
  let read = f32x4.splat(0)
  if (decays !== 0) memory.fill(decays, 0, (<usize>states) << 4)
  for (let n = 0; n < states; n++) {
    const x = f32x4.mul(written, v128.load32_splat(b))
    v128.store(to, x)
    read = madd(x, v128.load32_splat(c), read)
    to += 16
    b += 4
    c += 4
  }
  return read
}

/** `count` tokens of one group in place: states `x` go from before the first to after the last; y unless it is 0. */
export function scanGroup(
  u: usize,
  delta: usize,
  a: usize,
  b: usize,
  c: usize,
  skip: v128,
  bias: v128,
  z: usize,
  resets: usize,
  x: usize,
  y: usize,
  count: i32,
  row: usize,
  states: i32,
  lanes: i32,
): void {
  const matrixRow: usize = (<usize>states) << 2
  for (let t = 0; t < count; t++) {
    const at = <usize>t * row
    const value = loadSome(u + at, lanes)
    const dt = softplus4(f32x4.add(loadSome(delta + at, lanes), bias))
    const written = f32x4.mul(dt, value)
    let out = isReset(resets, t) ? firstStep(written, b, c, x, 0, states) : step(dt, written, a, b, c, x, x, 0, states)
    b += matrixRow
    c += matrixRow
    if (y === 0) continue
    out = madd(skip, value, out)
    if (z !== 0) {
      const gate = loadSome(z + at, lanes)
      out = f32x4.mul(out, f32x4.mul(gate, sigmoid4(gate)))
    }
    storeSome(y + at, out, lanes)
  }
}

/**
 * y [batch, time, width] and the last state [batch, width, states]; absent inputs are 0.
 * u, delta, z [batch, time, width]; a [width, states]; b, c [batch, time, states]; skip, bias [width]; resets [batch, time].
 */
export function selectiveScan(
  u: usize,
  delta: usize,
  a: usize,
  b: usize,
  c: usize,
  skip: usize,
  bias: usize,
  z: usize,
  resets: usize,
  state: usize,
  y: usize,
  last: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  states: i32,
): void {
  const row = (<usize>width) << 2
  const matrixRow = (<usize>states) << 2
  const group = (<usize>states) << 4
  const rates = scratch
  const x = rates + <usize>groupsOf(width) * group
  gather(a, rates, width, states, <f32>Math.LOG2E)
  for (let n = 0; n < batch; n++) {
    const ofRow = (<usize>(n * width * states)) << 2
    gather(state === 0 ? 0 : state + ofRow, x, width, states, 1)
    for (let begin = 0; begin < time; begin += STRETCH) {
      const token = <usize>(n * time + begin)
      const count = min(STRETCH, time - begin)
      for (let g = 0; g < groupsOf(width); g++) {
        const at = token * row + ((<usize>g) << 4)
        const lanes = lanesOf(g, width)
        scanGroup(
          u + at,
          delta + at,
          rates + <usize>g * group,
          b + token * matrixRow,
          c + token * matrixRow,
          channels(skip, g, lanes),
          channels(bias, g, lanes),
          z === 0 ? 0 : z + at,
          resets === 0 ? 0 : resets + (token << 2),
          x + <usize>g * group,
          y + at,
          count,
          row,
          states,
          lanes,
        )
      }
    }
    scatter(x, last + ofRow, width, states)
  }
}

/** Four numbers of [D], zeros if it is absent. */
export function channels(values: usize, group: i32, lanes: i32): v128 {
  return values === 0 ? f32x4.splat(0) : loadSome(values + ((<usize>group) << 4), lanes)
}
