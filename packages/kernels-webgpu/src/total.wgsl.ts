/** WGSL: sum over the lanes of a workgroup, by halves, the same for all of them. `size` is a power of two. */
export const totalOf = (size: number): string => `
var<workgroup> parts: array<f32, ${size}>;
fn total(lane: u32, part: f32) -> f32 {
  parts[lane] = part;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half /= 2u) {
    if (lane < half) { parts[lane] += parts[lane + half]; }
    workgroupBarrier();
  }
  let sum = parts[0];
  workgroupBarrier();
  return sum;
}`
