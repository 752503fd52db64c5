import { loadSome, madd, storeSome } from './simd'

/**
 * Turns pairs of features of x [batch, time, heads, width] by angles whose cosine and sine are [1 or batch, time, pairs];
 * features beyond the pairs are copied. Pairs are (m, m + pairs), or neighbours where `interleaved`.
 */
export function rotary(
  x: usize,
  cosines: usize,
  sines: usize,
  y: usize,
  batch: i32,
  time: i32,
  heads: i32,
  width: i32,
  pairs: i32,
  shared: bool,
  interleaved: bool,
): void {
  const row = (<usize>width) << 2
  const angles = (<usize>pairs) << 2
  const turned = angles << 1
  for (let n = 0; n < batch; n++) {
    for (let t = 0; t < time; t++) {
      const at = <usize>(shared ? t : n * time + t) * angles
      for (let h = 0; h < heads; h++) {
        if (interleaved) turnNeighbours(x, cosines + at, sines + at, y, pairs)
        else turnHalves(x, cosines + at, sines + at, y, pairs)
        if (turned < row) memory.copy(y + turned, x + turned, row - turned)
        x += row
        y += row
      }
    }
  }
}

function turnHalves(x: usize, cosines: usize, sines: usize, y: usize, pairs: i32): void {
  const half = (<usize>pairs) << 2
  for (let m = 0; m < pairs; m += 4) {
    const at = (<usize>m) << 2
    const lanes = min(4, pairs - m)
    const c = loadSome(cosines + at, lanes)
    const s = loadSome(sines + at, lanes)
    const first = loadSome(x + at, lanes)
    const second = loadSome(x + half + at, lanes)
    storeSome(y + at, f32x4.sub(f32x4.mul(first, c), f32x4.mul(second, s)), lanes)
    storeSome(y + half + at, madd(second, c, f32x4.mul(first, s)), lanes)
  }
}

/** Two pairs a vector. */
function turnNeighbours(x: usize, cosines: usize, sines: usize, y: usize, pairs: i32): void {
  const signs = f32x4(-1, 1, -1, 1)
  for (let m = 0; m < pairs; m += 2) {
    const at = (<usize>m) << 2
    const left = min(2, pairs - m)
    const c = loadSome(cosines + at, left)
    const s = loadSome(sines + at, left)
    const both = loadSome(x + 2 * at, 2 * left)
    const crossed = f32x4.mul(v128.shuffle<f32>(both, both, 1, 0, 3, 2), signs)
    const turned = f32x4.mul(crossed, v128.shuffle<f32>(s, s, 0, 0, 1, 1))
    storeSome(y + 2 * at, madd(both, v128.shuffle<f32>(c, c, 0, 0, 1, 1), turned), 2 * left)
  }
}
