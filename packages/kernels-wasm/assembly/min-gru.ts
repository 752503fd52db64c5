import { exp4, madd, sigmoid4 } from './simd'

/** x + 0.5 from 0 on, sigmoid(x) below. */
function positive4(c: v128): v128 {
  const zero = f32x4.splat(0)
  return f32x4.add(f32x4.max(c, zero), sigmoid4(f32x4.min(c, zero)))
}

function step4(c: v128, k: v128, before: v128): v128 {
  // e = e^-k: z = 1 / (1 + e) and 1 - z = e / (1 + e) are both exact where they are small
  const e = exp4(f32x4.neg(k))
  const z = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), e))
  return madd(f32x4.mul(e, z), before, f32x4.mul(z, positive4(c)))
}

/** States [batch, time, width] from candidates and gates side by side, [batch, time, 2 width]; `h0` or 0. */
export function minGru(x: usize, h0: usize, h: usize, batch: i32, time: i32, width: i32): void {
  const row: usize = width << 2
  const whole = row & ~15
  for (let n: usize = 0; n < <usize>batch; n++) {
    for (let t: usize = 0; t < <usize>time; t++) {
      const at = n * time + t
      const c = x + at * 2 * row
      const out = h + at * row
      const before = t > 0 ? out - row : h0 === 0 ? 0 : h0 + n * row
      let i: usize = 0
      for (; i < whole; i += 16) {
        const last = before === 0 ? f32x4.splat(0) : v128.load(before + i)
        v128.store(out + i, step4(v128.load(c + i), v128.load(c + row + i), last))
      }
      for (; i < row; i += 4) {
        const last: f32 = before === 0 ? 0 : f32.load(before + i)
        const y = step4(f32x4.splat(f32.load(c + i)), f32x4.splat(f32.load(c + row + i)), f32x4.splat(last))
        f32.store(out + i, f32x4.extract_lane(y, 0))
      }
    }
  }
}

/**
 * From dh, last token first: `carry` [width] holds the cotangent of the state, and is dh0 in the end. Gates are computed
 * again. Writes dx beside each other as x has it.
 */
export function minGruBackward(
  x: usize,
  h0: usize,
  h: usize,
  dh: usize,
  dx: usize,
  dh0: usize,
  carry: usize,
  batch: i32,
  time: i32,
  width: i32,
): void {
  const row: usize = width << 2
  const whole = row & ~15
  for (let n: usize = 0; n < <usize>batch; n++) {
    memory.fill(carry, 0, row)
    for (let t: isize = time - 1; t >= 0; t--) {
      const at = n * time + <usize>t
      const before = t > 0 ? h + (at - 1) * row : h0 === 0 ? 0 : h0 + n * row
      backRow(x + at * 2 * row, before, dh + at * row, dx + at * 2 * row, carry, row, whole)
    }
    if (dh0 !== 0) memory.copy(dh0 + n * row, carry, row)
  }
}

function backRow(c: usize, before: usize, dh: usize, dc: usize, carry: usize, row: usize, whole: usize): void {
  let i: usize = 0
  for (; i < whole; i += 16) {
    const last = before === 0 ? f32x4.splat(0) : v128.load(before + i)
    const g = f32x4.add(v128.load(dh + i), v128.load(carry + i))
    v128.store(dc + i, dCandidate(v128.load(c + i), v128.load(c + row + i), g))
    v128.store(dc + row + i, dGate(v128.load(c + i), v128.load(c + row + i), last, g))
    v128.store(carry + i, f32x4.mul(g, sigmoid4(f32x4.neg(v128.load(c + row + i)))))
  }
  for (; i < row; i += 4) {
    const last = f32x4.splat(before === 0 ? 0 : f32.load(before + i))
    const candidate = f32x4.splat(f32.load(c + i))
    const gate = f32x4.splat(f32.load(c + row + i))
    const g = f32x4.splat(f32.load(dh + i) + f32.load(carry + i))
    f32.store(dc + i, f32x4.extract_lane(dCandidate(candidate, gate, g), 0))
    f32.store(dc + row + i, f32x4.extract_lane(dGate(candidate, gate, last, g), 0))
    f32.store(carry + i, f32x4.extract_lane(f32x4.mul(g, sigmoid4(f32x4.neg(gate))), 0))
  }
}

/** g z g'(c): the slope of the candidate is 1 above 0, and that of the sigmoid below. */
function dCandidate(c: v128, k: v128, g: v128): v128 {
  const s = sigmoid4(f32x4.min(c, f32x4.splat(0)))
  const below = f32x4.mul(s, f32x4.sub(f32x4.splat(1), s))
  const slope = v128.bitselect(f32x4.splat(1), below, f32x4.gt(c, f32x4.splat(0)))
  return f32x4.mul(f32x4.mul(g, sigmoid4(k)), slope)
}

/** g (g(c) - h_before) z (1 - z). */
function dGate(c: v128, k: v128, before: v128, g: v128): v128 {
  const e = exp4(f32x4.neg(k))
  const z = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), e))
  const slope = f32x4.mul(f32x4.mul(e, z), z)
  return f32x4.mul(f32x4.mul(g, f32x4.sub(positive4(c), before)), slope)
}
