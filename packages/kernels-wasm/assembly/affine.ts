/** Adds a row [width] to each of `count` rows. */
export function addRow(y: usize, row: usize, count: i32, width: i32): void {
  const bytes: usize = width << 2
  const whole = bytes & ~15
  for (let n: usize = 0; n < <usize>count; n++) {
    const at = y + n * bytes
    let i: usize = 0
    for (; i < whole; i += 16) v128.store(at + i, f32x4.add(v128.load(at + i), v128.load(row + i)))
    for (; i < bytes; i += 4) f32.store(at + i, f32.load(at + i) + f32.load(row + i))
  }
}

/** Sums `count` rows [width] into one. Rows stream by; the sum stays in the first-level cache. */
export function sumRows(x: usize, out: usize, count: i32, width: i32): void {
  const bytes: usize = width << 2
  const whole = bytes & ~15
  memory.fill(out, 0, bytes)
  for (let n: usize = 0; n < <usize>count; n++) {
    const at = x + n * bytes
    let i: usize = 0
    for (; i < whole; i += 16) v128.store(out + i, f32x4.add(v128.load(out + i), v128.load(at + i)))
    for (; i < bytes; i += 4) f32.store(out + i, f32.load(out + i) + f32.load(at + i))
  }
}
