/** m_t = max(a_t + m_{t-1}, b_t) on [batch, time, width]; `m0` [batch, width] or 0 for nothing before. */
export function maxPlusScan(a: usize, b: usize, m0: usize, m: usize, batch: i32, time: i32, width: i32): void {
  const row: usize = width << 2
  for (let n: usize = 0; n < <usize>batch; n++) {
    let before = m0 === 0 ? 0 : m0 + n * row
    for (let t = 0; t < time; t++) {
      if (before === 0) memory.copy(m, b, row)
      else maxRow(a, before, b, m, row)
      before = m
      a += row
      b += row
      m += row
    }
  }
}

function maxRow(a: usize, before: usize, b: usize, m: usize, row: usize): void {
  const whole = row & ~15
  let i: usize = 0
  for (; i < whole; i += 16) {
    v128.store(m + i, f32x4.max(f32x4.add(v128.load(a + i), v128.load(before + i)), v128.load(b + i)))
  }
  for (; i < row; i += 4) f32.store(m + i, max<f32>(f32.load(a + i) + f32.load(before + i), f32.load(b + i)))
}
