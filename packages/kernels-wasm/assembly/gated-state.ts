import { wholeRow } from './rows'
import { exp1, exp4, madd, sum4 } from './simd'

// A state is K rows of V floats, each row padded to whole vectors. A token reads r^T S before it writes
// S <- diag(a) S + k v^T: reading after writing is the same with r = q a, and the token's own v added beside it.

/** Decays of one token, `keys` bytes of them in whole vectors: e^x of `channels` bytes, of one number for all, or 1. */
export function decayRow(logDecay: usize, channels: usize, spare: usize, out: usize, keys: usize): void {
  if (logDecay === 0 || channels === 4) {
    const all = f32x4.splat(logDecay === 0 ? 1 : exp1(f32.load(logDecay)))
    for (let i: usize = 0; i < keys; i += 16) v128.store(out + i, all)
    return
  }
  const row = wholeRow(logDecay, spare, channels)
  for (let i: usize = 0; i < keys; i += 16) v128.store(out + i, exp4(v128.load(row + i)))
}

/** Writes r = scale q a, or scale q where there is a bonus u; returns scale q.k or scale q.(u k), the weight of own v. */
export function readRow(q: usize, k: usize, a: usize, u: usize, r: usize, keys: usize, scale: f32): f32 {
  const scale4 = f32x4.splat(scale)
  let own = f32x4.splat(0)
  for (let i: usize = 0; i < keys; i += 16) {
    const query = f32x4.mul(v128.load(q + i), scale4)
    const key = v128.load(k + i)
    v128.store(r + i, u === 0 ? f32x4.mul(query, v128.load(a + i)) : query)
    own = madd(query, u === 0 ? key : f32x4.mul(key, v128.load(u + i)), own)
  }
  return sum4(own)
}

/** o = r^T S + own v, then S <- diag(a) S + k v^T: `keys` bytes of r, a row of v in whole vectors. */
export function readAndWrite(
  S: usize,
  a: usize,
  r: usize,
  k: usize,
  v: usize,
  own: f32,
  o: usize,
  keys: usize,
  row: usize,
): void {
  const own4 = f32x4.splat(own)
  let j: usize = 0
  for (; j + 64 <= row; j += 64) {
    const v0 = v128.load(v + j)
    const v1 = v128.load(v + j, 16)
    const v2 = v128.load(v + j, 32)
    const v3 = v128.load(v + j, 48)
    let o0 = f32x4.mul(own4, v0)
    let o1 = f32x4.mul(own4, v1)
    let o2 = f32x4.mul(own4, v2)
    let o3 = f32x4.mul(own4, v3)
    let at = S + j
    for (let i: usize = 0; i < keys; i += 4) {
      const ai = v128.load_splat<f32>(a + i)
      const ri = v128.load_splat<f32>(r + i)
      const ki = v128.load_splat<f32>(k + i)
      const s0 = v128.load(at)
      o0 = madd(ri, s0, o0)
      v128.store(at, madd(ai, s0, f32x4.mul(ki, v0)))
      const s1 = v128.load(at, 16)
      o1 = madd(ri, s1, o1)
      v128.store(at, madd(ai, s1, f32x4.mul(ki, v1)), 16)
      const s2 = v128.load(at, 32)
      o2 = madd(ri, s2, o2)
      v128.store(at, madd(ai, s2, f32x4.mul(ki, v2)), 32)
      const s3 = v128.load(at, 48)
      o3 = madd(ri, s3, o3)
      v128.store(at, madd(ai, s3, f32x4.mul(ki, v3)), 48)
      at += row
    }
    v128.store(o + j, o0)
    v128.store(o + j, o1, 16)
    v128.store(o + j, o2, 32)
    v128.store(o + j, o3, 48)
  }
  for (; j < row; j += 16) {
    const vj = v128.load(v + j)
    let oj = f32x4.mul(own4, vj)
    let at = S + j
    for (let i: usize = 0; i < keys; i += 4) {
      const s = v128.load(at)
      oj = madd(v128.load_splat<f32>(r + i), s, oj)
      v128.store(at, madd(v128.load_splat<f32>(a + i), s, f32x4.mul(v128.load_splat<f32>(k + i), vj)))
      at += row
    }
    v128.store(o + j, oj)
  }
}

/** `next` = diag(a) S + k v^T; `next` may be S. */
export function write(S: usize, next: usize, a: usize, k: usize, v: usize, keys: usize, row: usize): void {
  let j: usize = 0
  for (; j + 64 <= row; j += 64) {
    const v0 = v128.load(v + j)
    const v1 = v128.load(v + j, 16)
    const v2 = v128.load(v + j, 32)
    const v3 = v128.load(v + j, 48)
    let at = S + j
    let to = next + j
    for (let i: usize = 0; i < keys; i += 4) {
      const ai = v128.load_splat<f32>(a + i)
      const ki = v128.load_splat<f32>(k + i)
      v128.store(to, madd(ai, v128.load(at), f32x4.mul(ki, v0)))
      v128.store(to, madd(ai, v128.load(at, 16), f32x4.mul(ki, v1)), 16)
      v128.store(to, madd(ai, v128.load(at, 32), f32x4.mul(ki, v2)), 32)
      v128.store(to, madd(ai, v128.load(at, 48), f32x4.mul(ki, v3)), 48)
      at += row
      to += row
    }
  }
  for (; j < row; j += 16) {
    const vj = v128.load(v + j)
    let at = j
    for (let i: usize = 0; i < keys; i += 4) {
      const written = f32x4.mul(v128.load_splat<f32>(k + i), vj)
      v128.store(next + at, madd(v128.load_splat<f32>(a + i), v128.load(S + at), written))
      at += row
    }
  }
}
