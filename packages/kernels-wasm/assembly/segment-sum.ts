/**
 * out[ids[n]] += rows[n], each row of `width` floats; `out` [segments, width] is cleared first. Rows whose id lies
 * outside [0, segments) are dropped, as tfjs drops them.
 */
export function segmentSum(rows: usize, ids: usize, out: usize, count: i32, width: i32, segments: i32): void {
  const row: usize = width << 2
  const whole = row & ~15
  memory.fill(out, 0, row * segments)
  for (let n: usize = 0; n < <usize>count; n++) {
    const id = i32.load(ids + (n << 2))
    if (<u32>id >= <u32>segments) continue
    const from = rows + n * row
    const to = out + <usize>id * row
    let i: usize = 0
    for (; i < whole; i += 16) v128.store(to + i, f32x4.add(v128.load(to + i), v128.load(from + i)))
    for (; i < row; i += 4) f32.store(to + i, f32.load(to + i) + f32.load(from + i))
  }
}

/** The same on 32-bit integers. */
export function segmentSumInt(rows: usize, ids: usize, out: usize, count: i32, width: i32, segments: i32): void {
  const row: usize = width << 2
  memory.fill(out, 0, row * segments)
  for (let n: usize = 0; n < <usize>count; n++) {
    const id = i32.load(ids + (n << 2))
    if (<u32>id >= <u32>segments) continue
    const from = rows + n * row
    const to = out + <usize>id * row
    for (let i: usize = 0; i < row; i += 4) i32.store(to + i, i32.load(to + i) + i32.load(from + i))
  }
}
