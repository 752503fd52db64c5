/**
 * y[n] = table[ids[n]], rows of `width` floats. Returns the position of the first id outside [0, height), where it
 * stops, or -1.
 */
export function embedding(table: usize, ids: usize, y: usize, count: i32, width: i32, height: i32): i32 {
  const row: usize = width << 2
  for (let n = 0; n < count; n++) {
    const id = i32.load(ids + ((<usize>n) << 2))
    if (<u32>id >= <u32>height) return n
    memory.copy(y + <usize>n * row, table + <usize>id * row, row)
  }
  return -1
}
