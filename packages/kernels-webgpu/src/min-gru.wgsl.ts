import { gates } from './gates.wgsl.js'
import type { Shader } from './run.js'

// Each invocation walks one channel (b, e) through time; candidates lie before gates in every row of `projected`.

const shared = `${gates}
fn positive(c: f32) -> f32 { return max(c, 0.0) + sigmoid(min(c, 0.0)); }
fn candidateAt(row: u32, e: u32) -> u32 { return 2u * row * sizes.E + e; }`

const sizes = ['T', 'E']
const start = (h0: boolean): string => (h0 ? 'h0[channel]' : '0.0')

export const forward = (h0: boolean): Shader => ({
  name: 'minGru',
  sizes,
  inputs: ['projected', ...(h0 ? ['h0'] : [])],
  outputs: ['h'],
  body: `${shared}
fn run(channel: u32) {
  let e = channel % sizes.E;
  var state = ${start(h0)};
  for (var t = 0u; t < sizes.T; t++) {
    let row = (channel / sizes.E) * sizes.T + t;
    let i = candidateAt(row, e);
    let k = projected[i + sizes.E];
    state = sigmoid(-k) * state + sigmoid(k) * positive(projected[i]);
    h[row * sizes.E + e] = state;
  }
}`,
})

/** Gates are computed again on the walk back. */
export const backward = (h0: boolean): Shader => ({
  name: 'minGru.backward',
  sizes,
  inputs: ['projected', 'h', 'dh', ...(h0 ? ['h0'] : [])],
  outputs: ['dprojected', ...(h0 ? ['dh0'] : [])],
  body: `${shared}
fn run(channel: u32) {
  let e = channel % sizes.E;
  var carried = 0.0;
  for (var t = sizes.T; t > 0u; t--) {
    let row = (channel / sizes.E) * sizes.T + t - 1u;
    let g = dh[row * sizes.E + e] + carried;
    var before = ${start(h0)};
    if (t > 1u) { before = h[(row - 1u) * sizes.E + e]; }
    let i = candidateAt(row, e);
    let c = projected[i];
    let k = projected[i + sizes.E];
    let z = sigmoid(k);
    let kept = sigmoid(-k);
    let below = sigmoid(min(c, 0.0));
    dprojected[i] = g * z * select(below * (1.0 - below), 1.0, c > 0.0);
    dprojected[i + sizes.E] = g * (positive(c) - before) * z * kept;
    carried = g * kept;
  }${h0 ? '\n  dh0[channel] = carried;' : ''}
}`,
})
