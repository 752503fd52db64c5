import type { Shader } from './run.js'

/** One invocation a feature: it reads its partner, and writes itself. Which features are pairs is a size, not a form. */
export const forward: Shader = {
  name: 'rotary',
  sizes: ['T', 'H', 'K', 'R', 'sameAngles', 'interleaved'],
  inputs: ['x', 'cosines', 'sines'],
  outputs: ['y'],
  body: `
fn run(i: u32) {
  let feature = i % sizes.K;
  if (feature >= 2u * sizes.R) {
    y[i] = x[i];
    return;
  }
  let row = i / (sizes.K * sizes.H);
  let token = select(row, row % sizes.T, sizes.sameAngles == 1u);
  var pair = feature % sizes.R;
  var second = feature >= sizes.R;
  var step = sizes.R;
  if (sizes.interleaved == 1u) {
    pair = feature / 2u;
    second = feature % 2u == 1u;
    step = 1u;
  }
  let c = cosines[token * sizes.R + pair];
  let s = sines[token * sizes.R + pair];
  if (second) { y[i] = x[i] * c + x[i - step] * s; } else { y[i] = x[i] * c - x[i + step] * s; }
}`,
}
