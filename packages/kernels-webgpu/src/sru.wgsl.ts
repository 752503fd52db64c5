import { gates } from './gates.wgsl.js'
import { pack as packed } from './pack.wgsl.js'
import type { Shader } from './run.js'

// Each invocation walks one channel (b, e) through time. What is small is packed first, so that no dispatch binds more
// than 8 buffers: peepholes, the state that came in, and of every token whether it starts anew and whether it counts.

export const sizes = ['B', 'T', 'E']

/** A shader for the optional inputs that are there. */
export function pack(present: readonly string[]): Shader {
  const pieces = [
    { name: 'peephole', count: 'sizes.E' },
    { name: 'c0', count: '(sizes.B * sizes.E)' },
    { name: 'resets', count: '(sizes.B * sizes.T)' },
    { name: 'mask', count: '(sizes.B * sizes.T)', otherwise: 1 },
  ]
  return packed('sru.pack', 'small', sizes, pieces, present)
}

const shared = `${gates}
fn incoming(channel: u32) -> f32 { return small[sizes.E + channel]; }
fn flag(i: u32) -> bool { return small[(1u + sizes.B) * sizes.E + i] > 0.5; }
fn empties(token: u32) -> bool { return flag(token); }
fn counts(token: u32) -> bool { return flag(sizes.B * sizes.T + token); }`

export const forward: Shader = {
  name: 'sru',
  sizes,
  inputs: ['small', 'candidate', 'forget'],
  outputs: ['c'],
  body: `${shared}
fn run(channel: u32) {
  let v = small[channel % sizes.E];
  var state = incoming(channel);
  for (var t = 0u; t < sizes.T; t++) {
    let token = (channel / sizes.E) * sizes.T + t;
    let i = token * sizes.E + channel % sizes.E;
    if (empties(token)) { state = 0.0; }
    let u = candidate[i];
    if (counts(token)) { state = u + sigmoid(forget[i] + v * state) * (state - u); }
    c[i] = state;
  }
}`,
}

/** Gates are computed again on the walk back. `ends` holds each channel's sum for its peephole, then that of its state. */
export const backward: Shader = {
  name: 'sru.backward',
  sizes,
  inputs: ['small', 'candidate', 'forget', 'c', 'dc'],
  outputs: ['dcandidate', 'dforget', 'ends'],
  body: `${shared}
fn run(channel: u32) {
  let v = small[channel % sizes.E];
  var carried = 0.0;
  var seen = 0.0;
  for (var t = sizes.T; t > 0u; t--) {
    let token = (channel / sizes.E) * sizes.T + t - 1u;
    let i = token * sizes.E + channel % sizes.E;
    var before = incoming(channel);
    if (t > 1u) { before = c[i - sizes.E]; }
    if (empties(token)) { before = 0.0; }
    let g = dc[i] + carried;
    let u = candidate[i];
    let k = forget[i] + v * before;
    let kept = sigmoid(k);
    let there = counts(token);
    let dk = select(0.0, g * (before - u) * kept * sigmoid(-k), there);
    dcandidate[i] = select(0.0, g * sigmoid(-k), there);
    dforget[i] = dk;
    seen += dk * before;
    carried = select(select(g, dk * v + g * kept, there), 0.0, empties(token));
  }
  ends[channel] = seen;
  ends[sizes.B * sizes.E + channel] = carried;
}`,
}

/** Sums over the batch for peepholes, and what is left of the state that came in. */
export const parameters = (present: readonly string[]): Shader => {
  const state = present.includes('c0')
  return {
    name: 'sru.parameters',
    sizes,
    inputs: ['ends'],
    outputs: ['dpeephole', ...(state ? ['dc0'] : [])],
    body: `
fn run(i: u32) {
  ${state ? 'dc0[i] = ends[sizes.B * sizes.E + i];' : ''}
  if (i >= sizes.E) { return; }
  var sum = 0.0;
  for (var b = 0u; b < sizes.B; b++) { sum += ends[b * sizes.E + i]; }
  dpeephole[i] = sum;
}`,
  }
}
