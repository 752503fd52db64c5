/** out[n] has `on` at ids[n] and `off` elsewhere, on [count, depth]; an id outside [0, depth) leaves its row `off`. */
export function oneHot(ids: usize, out: usize, count: i32, depth: i32, on: f32, off: f32): void {
  for (let n: usize = 0; n < <usize>count; n++) {
    const id = i32.load(ids + (n << 2))
    if (off === 0) memory.fill(out, 0, (<usize>depth) << 2)
    else for (let i: usize = 0; i < <usize>depth; i++) f32.store(out + (i << 2), off)
    if (<u32>id < <u32>depth) f32.store(out + ((<usize>id) << 2), on)
    out += (<usize>depth) << 2
  }
}
