import { channels, firstStep, gather, groupsOf, isReset, lanesOf, scanGroup, scatter, step } from './selective-scan'
import { loadSome, madd, sigmoid4, softplus4, storeSome, sum4 } from './simd'

// Chunk by chunk from the last: states and decays of a chunk are computed again from the state at its start, then the
// cotangents run against time. Sums over channels (of b and c) are kept as vectors until the chunk is done.

/** Tokens whose states and decays are held at once: about 256 KB for a group. */
function chunkOf(time: i32, states: i32): i32 {
  return min(time, max(16, 8192 / states))
}

/** Bytes of working memory. */
export function selectiveScanBackwardScratch(time: i32, width: i32, states: i32): usize {
  const chunk = chunkOf(time, states)
  const chunks = (time + chunk - 1) / chunk
  const groups = groupsOf(width)
  return (<usize>((4 + chunks) * groups * states + 2 * groups + (4 * chunk + 1) * states)) << 4
}

/** Goes over a chunk again: states after each token follow those before the first at `xs`, and decays go to `es`. */
function keepGroup(
  u: usize,
  delta: usize,
  a: usize,
  b: usize,
  bias: v128,
  resets: usize,
  xs: usize,
  es: usize,
  count: i32,
  row: usize,
  states: i32,
  lanes: i32,
): void {
  const group = (<usize>states) << 4
  for (let t = 0; t < count; t++) {
    const at = <usize>t * row
    const dt = softplus4(f32x4.add(loadSome(delta + at, lanes), bias))
    const written = f32x4.mul(dt, loadSome(u + at, lanes))
    // what is read does not matter here: b stands in for c
    if (isReset(resets, t)) firstStep(written, b, b, xs + group, es, states)
    else step(dt, written, a, b, b, xs, xs + group, es, states)
    xs += group
    es += group
    b += (<usize>states) << 2
  }
}

/**
 * Cotangents of `count` tokens of one group, from the last to the first. `g` is that of the states after the last, and in
 * the end of those before the first; da, dskip, dbias, db and dc are added to, as vectors over channels.
 */
function backGroup(
  u: usize,
  delta: usize,
  a: usize,
  b: usize,
  c: usize,
  skip: v128,
  bias: v128,
  z: usize,
  dy: usize,
  xs: usize,
  es: usize,
  g: usize,
  du: usize,
  ddelta: usize,
  dz: usize,
  da: usize,
  db: usize,
  dc: usize,
  dskip: usize,
  dbias: usize,
  count: i32,
  row: usize,
  states: i32,
  lanes: i32,
): void {
  const group = (<usize>states) << 4
  let skipped = v128.load(dskip)
  let biased = v128.load(dbias)
  for (let t = count - 1; t >= 0; t--) {
    const at = <usize>t * row
    const first = <usize>t * group
    const value = loadSome(u + at, lanes)
    const x = f32x4.add(loadSome(delta + at, lanes), bias)
    const dt = softplus4(x)
    const written = f32x4.mul(dt, value)
    const given = loadSome(dy + at, lanes)
    let out = given
    let gate = f32x4.splat(0)
    let open = f32x4.splat(0)
    if (z !== 0) {
      gate = loadSome(z + at, lanes)
      open = sigmoid4(gate)
      out = f32x4.mul(given, f32x4.mul(gate, open))
    }
    let bRow = b + <usize>t * ((<usize>states) << 2)
    let cRow = c + <usize>t * ((<usize>states) << 2)
    let read = f32x4.splat(0)
    let byWritten = f32x4.splat(0)
    let byRate = f32x4.splat(0)
    for (let i: usize = 0; i < group; i += 16) {
      const before = v128.load(xs + first + i)
      const after = v128.load(xs + first + group + i)
      const cn = v128.load32_splat(cRow)
      const cotangent = madd(out, cn, v128.load(g + i))
      const kept = f32x4.mul(cotangent, v128.load(es + first + i))
      const decayed = f32x4.mul(kept, before)
      read = madd(after, cn, read)
      byWritten = madd(cotangent, v128.load32_splat(bRow), byWritten)
      byRate = madd(decayed, v128.load(a + i), byRate)
      v128.store(g + i, kept)
      v128.store(da + i, madd(dt, decayed, v128.load(da + i)))
      v128.store(db + first + i, madd(cotangent, written, v128.load(db + first + i)))
      v128.store(dc + first + i, madd(out, after, v128.load(dc + first + i)))
      bRow += 4
      cRow += 4
    }
    storeSome(du + at, madd(dt, byWritten, f32x4.mul(out, skip)), lanes)
    skipped = madd(out, value, skipped)
    // rates are those of base 2
    const byStep = madd(byRate, f32x4.splat(<f32>Math.LN2), f32x4.mul(value, byWritten))
    const byDelta = f32x4.mul(byStep, sigmoid4(x))
    storeSome(ddelta + at, byDelta, lanes)
    biased = f32x4.add(biased, byDelta)
    if (z !== 0) {
      const ungated = f32x4.mul(given, madd(skip, value, read))
      // silu'(z) = σ (1 + z (1 - σ))
      const slope = madd(gate, f32x4.sub(f32x4.splat(1), open), f32x4.splat(1))
      storeSome(dz + at, f32x4.mul(ungated, f32x4.mul(open, slope)), lanes)
    }
  }
  v128.store(dskip, skipped)
  v128.store(dbias, biased)
}

/** Sums over channels: vectors [count, states] to numbers. */
function sumChannels(from: usize, to: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    f32.store(to, sum4(v128.load(from)))
    from += 16
    to += 4
  }
}

/** Gradients of all inputs; those of absent inputs are 0, and `dresets` is filled with zeros. */
export function selectiveScanBackward(
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
  dy: usize,
  dlast: usize,
  du: usize,
  ddelta: usize,
  da: usize,
  db: usize,
  dc: usize,
  dskip: usize,
  dbias: usize,
  dz: usize,
  dresets: usize,
  dstate: usize,
  scratch: usize,
  batch: i32,
  time: i32,
  width: i32,
  states: i32,
): void {
  const row = (<usize>width) << 2
  const matrixRow = (<usize>states) << 2
  const group = (<usize>states) << 4
  const groups = groupsOf(width)
  const all = <usize>groups * group
  const chunk = chunkOf(time, states)
  const chunks = (time + chunk - 1) / chunk
  const rates = scratch
  const x = rates + all
  const g = x + all
  const das = g + all
  const borders = das + all
  const dskips = borders + <usize>chunks * all
  const dbiases = dskips + ((<usize>groups) << 4)
  const xs = dbiases + ((<usize>groups) << 4)
  const es = xs + <usize>(chunk + 1) * group
  const dbs = es + <usize>chunk * group
  const dcs = dbs + <usize>chunk * group
  gather(a, rates, width, states, <f32>Math.LOG2E)
  memory.fill(das, 0, all)
  memory.fill(dskips, 0, (<usize>groups) << 5)
  if (dresets !== 0) memory.fill(dresets, 0, (<usize>(batch * time)) << 2)
  for (let n = 0; n < batch; n++) {
    const ofRow = (<usize>(n * width * states)) << 2
    gather(state === 0 ? 0 : state + ofRow, x, width, states, 1)
    gather(dlast + ofRow, g, width, states, 1)
    for (let i = 0; i < chunks; i++) {
      memory.copy(borders + <usize>i * all, x, all)
      if (i === chunks - 1) break
      const token = <usize>(n * time + i * chunk)
      for (let j = 0; j < groups; j++) {
        const at = token * row + ((<usize>j) << 4)
        const lanes = lanesOf(j, width)
        const rows = b + token * matrixRow
        const starts = resets === 0 ? 0 : resets + (token << 2)
        const ofGroup = <usize>j * group
        const none = f32x4.splat(0)
        const shift = channels(bias, j, lanes)
        scanGroup(
          u + at,
          delta + at,
          rates + ofGroup,
          rows,
          rows,
          none,
          shift,
          0,
          starts,
          x + ofGroup,
          0,
          chunk,
          row,
          states,
          lanes,
        )
      }
    }
    for (let i = chunks - 1; i >= 0; i--) {
      const token = <usize>(n * time + i * chunk)
      const count = min(chunk, time - i * chunk)
      memory.fill(dbs, 0, <usize>(2 * chunk) * group)
      for (let j = 0; j < groups; j++) {
        const at = token * row + ((<usize>j) << 4)
        const lanes = lanesOf(j, width)
        const bRows = b + token * matrixRow
        const starts = resets === 0 ? 0 : resets + (token << 2)
        const ofGroup = <usize>j * group
        const shift = channels(bias, j, lanes)
        memory.copy(xs, borders + <usize>i * all + ofGroup, group)
        keepGroup(u + at, delta + at, rates + ofGroup, bRows, shift, starts, xs, es, count, row, states, lanes)
        backGroup(
          u + at,
          delta + at,
          rates + ofGroup,
          bRows,
          c + token * matrixRow,
          channels(skip, j, lanes),
          shift,
          z === 0 ? 0 : z + at,
          dy + at,
          xs,
          es,
          g + ofGroup,
          du + at,
          ddelta + at,
          dz + at,
          das + ofGroup,
          dbs,
          dcs,
          dskips + ((<usize>j) << 4),
          dbiases + ((<usize>j) << 4),
          count,
          row,
          states,
          lanes,
        )
      }
      sumChannels(dbs, db + token * matrixRow, count * states)
      sumChannels(dcs, dc + token * matrixRow, count * states)
    }
    if (dstate !== 0) scatter(g, dstate + ofRow, width, states)
  }
  scatter(das, da, width, states)
  for (let j = 0; j < groups; j++) {
    const at = (<usize>j) << 4
    const lanes = lanesOf(j, width)
    if (dskip !== 0) storeSome(dskip + at, v128.load(dskips + at), lanes)
    if (dbias !== 0) storeSome(dbias + at, v128.load(dbiases + at), lanes)
  }
}
