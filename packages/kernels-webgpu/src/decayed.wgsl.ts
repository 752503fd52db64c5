/** WGSL: e^x as a decay. exp may be some units in the last place off, which a state near 1 gathers over all its tokens. */
export const decayed = `
fn decayed(x: f32) -> f32 {
  let near = 1.0 + x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * 0.008333334))));
  return select(exp(x), near, abs(x) < 0.1);
}`
