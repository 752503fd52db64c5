/** WGSL: gates that neither overflow nor cancel, whatever the device makes of its own tanh. */
export const gates = `
fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
fn tanhOf(x: f32) -> f32 {
  let s = x * x;
  let near = x * (1.0 - s * (0.33333333 - s * (0.13333333 - s * 0.053968254)));
  let e = exp(-2.0 * abs(x));
  return select(sign(x) * (1.0 - e) / (1.0 + e), near, abs(x) < 0.1);
}`
