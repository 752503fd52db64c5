import { madd } from './simd'

// A state is K rows of V floats, each row padded to whole vectors, that a token changes by what it reads from it:
// x = a^T S, then S <- diag(d) S + k v^T + b x^T. Columns do not know of each other, so each walk is along rows.

/** x = a^T S: `keys` bytes of a, a row of whole vectors. */
export function readOne(S: usize, a: usize, x: usize, keys: usize, row: usize): void {
  read<void>(S, a, a, x, x, keys, row)
}

/** x = a^T S and o = r^T S. */
export function readTwo(S: usize, a: usize, r: usize, x: usize, o: usize, keys: usize, row: usize): void {
  read<v128>(S, a, r, x, o, keys, row)
}

/** Second is void where there is no second row to read. */
function read<Second>(S: usize, a: usize, r: usize, x: usize, o: usize, keys: usize, row: usize): void {
  const zero = f32x4.splat(0)
  let j: usize = 0
  for (; j + 64 <= row; j += 64) {
    let x0 = zero
    let x1 = zero
    let x2 = zero
    let x3 = zero
    let o0 = zero
    let o1 = zero
    let o2 = zero
    let o3 = zero
    let at = S + j
    for (let i: usize = 0; i < keys; i += 4) {
      const ai = v128.load_splat<f32>(a + i)
      const s0 = v128.load(at)
      const s1 = v128.load(at, 16)
      const s2 = v128.load(at, 32)
      const s3 = v128.load(at, 48)
      x0 = madd(ai, s0, x0)
      x1 = madd(ai, s1, x1)
      x2 = madd(ai, s2, x2)
      x3 = madd(ai, s3, x3)
      if (!isVoid<Second>()) {
        const ri = v128.load_splat<f32>(r + i)
        o0 = madd(ri, s0, o0)
        o1 = madd(ri, s1, o1)
        o2 = madd(ri, s2, o2)
        o3 = madd(ri, s3, o3)
      }
      at += row
    }
    v128.store(x + j, x0)
    v128.store(x + j, x1, 16)
    v128.store(x + j, x2, 32)
    v128.store(x + j, x3, 48)
    if (!isVoid<Second>()) {
      v128.store(o + j, o0)
      v128.store(o + j, o1, 16)
      v128.store(o + j, o2, 32)
      v128.store(o + j, o3, 48)
    }
  }
  for (; j < row; j += 16) {
    let xj = zero
    let oj = zero
    let at = S + j
    for (let i: usize = 0; i < keys; i += 4) {
      const s = v128.load(at)
      xj = madd(v128.load_splat<f32>(a + i), s, xj)
      if (!isVoid<Second>()) oj = madd(v128.load_splat<f32>(r + i), s, oj)
      at += row
    }
    v128.store(x + j, xj)
    if (!isVoid<Second>()) v128.store(o + j, oj)
  }
}

/** `next` = diag(d) S + k v^T + b x^T; `next` may be S. */
export function writeTwo(
  S: usize,
  next: usize,
  d: usize,
  k: usize,
  v: usize,
  b: usize,
  x: usize,
  keys: usize,
  row: usize,
): void {
  for (let j: usize = 0; j < row; ) {
    const v0 = v128.load(v + j)
    const x0 = v128.load(x + j)
    let at = j
    if (j + 32 > row) {
      for (let i: usize = 0; i < keys; i += 4) {
        const written = madd(v128.load_splat<f32>(k + i), v0, f32x4.mul(v128.load_splat<f32>(b + i), x0))
        v128.store(next + at, madd(v128.load_splat<f32>(d + i), v128.load(S + at), written))
        at += row
      }
      break
    }
    const v1 = v128.load(v + j, 16)
    const x1 = v128.load(x + j, 16)
    for (let i: usize = 0; i < keys; i += 4) {
      const di = v128.load_splat<f32>(d + i)
      const ki = v128.load_splat<f32>(k + i)
      const bi = v128.load_splat<f32>(b + i)
      v128.store(next + at, madd(di, v128.load(S + at), madd(ki, v0, f32x4.mul(bi, x0))))
      v128.store(next + at, madd(di, v128.load(S + at, 16), madd(ki, v1, f32x4.mul(bi, x1))), 16)
      at += row
    }
    j += 32
  }
}

/** The cotangent of a state gets that of its reading, dS <- dS + r g^T, and is read: du = k^T dS. */
export function addAndReadOne(dS: usize, r: usize, g: usize, k: usize, du: usize, keys: usize, row: usize): void {
  let j: usize = 0
  for (; j + 64 <= row; j += 64) {
    const g0 = v128.load(g + j)
    const g1 = v128.load(g + j, 16)
    const g2 = v128.load(g + j, 32)
    const g3 = v128.load(g + j, 48)
    let u0 = f32x4.splat(0)
    let u1 = u0
    let u2 = u0
    let u3 = u0
    let at = dS + j
    for (let i: usize = 0; i < keys; i += 4) {
      const ri = v128.load_splat<f32>(r + i)
      const ki = v128.load_splat<f32>(k + i)
      const d0 = madd(ri, g0, v128.load(at))
      v128.store(at, d0)
      u0 = madd(ki, d0, u0)
      const d1 = madd(ri, g1, v128.load(at, 16))
      v128.store(at, d1, 16)
      u1 = madd(ki, d1, u1)
      const d2 = madd(ri, g2, v128.load(at, 32))
      v128.store(at, d2, 32)
      u2 = madd(ki, d2, u2)
      const d3 = madd(ri, g3, v128.load(at, 48))
      v128.store(at, d3, 48)
      u3 = madd(ki, d3, u3)
      at += row
    }
    v128.store(du + j, u0)
    v128.store(du + j, u1, 16)
    v128.store(du + j, u2, 32)
    v128.store(du + j, u3, 48)
  }
  for (; j < row; j += 16) {
    const gj = v128.load(g + j)
    let uj = f32x4.splat(0)
    let at = dS + j
    for (let i: usize = 0; i < keys; i += 4) {
      const d = madd(v128.load_splat<f32>(r + i), gj, v128.load(at))
      v128.store(at, d)
      uj = madd(v128.load_splat<f32>(k + i), d, uj)
      at += row
    }
    v128.store(du + j, uj)
  }
}

/** The same where two are read, dv = k^T dS and dx = b^T dS. */
export function addAndReadTwo(
  dS: usize,
  r: usize,
  g: usize,
  k: usize,
  b: usize,
  dv: usize,
  dx: usize,
  keys: usize,
  row: usize,
): void {
  const zero = f32x4.splat(0)
  for (let j: usize = 0; j < row; ) {
    const g0 = v128.load(g + j)
    let v0 = zero
    let x0 = zero
    let at = dS + j
    if (j + 32 > row) {
      for (let i: usize = 0; i < keys; i += 4) {
        const d0 = madd(v128.load_splat<f32>(r + i), g0, v128.load(at))
        v128.store(at, d0)
        v0 = madd(v128.load_splat<f32>(k + i), d0, v0)
        x0 = madd(v128.load_splat<f32>(b + i), d0, x0)
        at += row
      }
      v128.store(dv + j, v0)
      v128.store(dx + j, x0)
      break
    }
    const g1 = v128.load(g + j, 16)
    let v1 = zero
    let x1 = zero
    for (let i: usize = 0; i < keys; i += 4) {
      const ri = v128.load_splat<f32>(r + i)
      const ki = v128.load_splat<f32>(k + i)
      const bi = v128.load_splat<f32>(b + i)
      const d0 = madd(ri, g0, v128.load(at))
      v128.store(at, d0)
      v0 = madd(ki, d0, v0)
      x0 = madd(bi, d0, x0)
      const d1 = madd(ri, g1, v128.load(at, 16))
      v128.store(at, d1, 16)
      v1 = madd(ki, d1, v1)
      x1 = madd(bi, d1, x1)
      at += row
    }
    v128.store(dv + j, v0)
    v128.store(dv + j, v1, 16)
    v128.store(dx + j, x0)
    v128.store(dx + j, x1, 16)
    j += 32
  }
}
