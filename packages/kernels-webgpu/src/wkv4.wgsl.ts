import type { Shader } from './run.js'

// One invocation a channel (b, d). What is small is packed first, so that no dispatch binds more than 8 buffers: of every
// channel w, u and the state that came in, and of every token whether it starts anew and whether it is padding.

/** Which optional inputs a call has. */
export interface Form {
  readonly resets: boolean
  readonly mask: boolean
  readonly num: boolean
  readonly den: boolean
  readonly max: boolean
}

export const sizes = ['B', 'T', 'D', 'chunks', 'L']

const present = (form: Form, ...names: (keyof Form)[]): string[] => names.filter((name) => form[name])

/**
 * Places in `small`, states, and the weights of two exponents, of which the larger weighs 1. The max of a state is
 * base + age w: adding w token by token would lose a small w beside a large max.
 */
const shared = `
struct Sums { num: f32, den: f32, base: f32, age: f32 }
fn channels() -> u32 { return sizes.B * sizes.D; }
fn place(channel: u32, t: u32) -> u32 {
  return ((channel / sizes.D) * sizes.T + t) * sizes.D + channel % sizes.D;
}
fn border(channel: u32, c: u32) -> u32 { return (c * channels() + channel) * 4u; }
fn gapTo(exponent: f32, w: f32, state: Sums, more: f32) -> f32 {
  return (state.base - exponent) + (state.age + more) * w;
}
fn weights(gap: f32) -> vec2f {
  let e = exp(-abs(gap));
  return select(vec2f(e, 1.0), vec2f(1.0, e), gap >= 0.0);
}
const EMPTY = Sums(0.0, 0.0, -1e38, 0.0);
fn flag(channel: u32, t: u32) -> f32 { return small[5u * channels() + (channel / sizes.D) * sizes.T + t]; }
fn incoming(channel: u32) -> Sums {
  let n = channels();
  return Sums(small[2u * n + channel], small[3u * n + channel], small[4u * n + channel], 0.0);
}
fn written(before: Sums, w: f32, key: f32, value: f32) -> Sums {
  let gap = gapTo(key, w, before, 1.0);
  let s = weights(gap);
  let older = gap >= 0.0;
  let base = select(key, before.base, older);
  return Sums(s.x * before.num + s.y * value, s.x * before.den + s.y, base, select(0.0, before.age + 1.0, older));
}`

/** Flags of a token: 1 where it starts anew, 2 where it is padding. */
export const pack = (form: Form): Shader => ({
  name: 'wkv4.pack',
  sizes,
  inputs: ['timeDecay', 'timeFirst', ...present(form, 'num', 'den', 'max', 'resets', 'mask')],
  outputs: ['small'],
  body: `
fn run(i: u32) {
  let n = sizes.B * sizes.D;
  if (i < n) {
    small[i] = -exp(min(timeDecay[i % sizes.D], 60.0));
    small[n + i] = timeFirst[i % sizes.D];
    small[2u * n + i] = ${form.num ? 'num[i]' : '0.0'};
    small[3u * n + i] = ${form.den ? 'den[i]' : '0.0'};
    small[4u * n + i] = ${form.max ? 'max[i]' : '-1e38'};
  } else {
    let token = i - n;
    var flags = 0.0;
    ${form.resets ? 'if (resets[token] > 0.5) { flags += 1.0; }' : ''}
    ${form.mask ? 'if (mask[token] <= 0.5) { flags += 2.0; }' : ''}
    small[5u * n + token] = flags;
  }
}`,
})

export const forward: Shader = {
  name: 'wkv4',
  sizes,
  inputs: ['small', 'k', 'v'],
  outputs: ['y', 'lastNum', 'lastDen', 'lastMax'],
  body: `${shared}
fn run(channel: u32) {
  let w = small[channel];
  let u = small[channels() + channel];
  var state = incoming(channel);
  for (var t = 0u; t < sizes.T; t++) {
    let i = place(channel, t);
    let flags = flag(channel, t);
    if (flags == 1.0 || flags == 3.0) { state = EMPTY; }
    let s = weights(gapTo(k[i] + u, w, state, 0.0));
    y[i] = (s.x * state.num + s.y * v[i]) / (s.x * state.den + s.y);
    if (flags < 2.0) { state = written(state, w, k[i], v[i]); }
  }
  lastNum[channel] = state.num;
  lastDen[channel] = state.den;
  lastMax[channel] = state.base + state.age * w;
}`,
}

/** States before each chunk, and in the end the cotangents of the last state. */
export const borders: Shader = {
  name: 'wkv4.borders',
  sizes,
  inputs: ['small', 'k', 'v', 'dLastNum', 'dLastDen', 'dLastMax'],
  outputs: ['states'],
  body: `${shared}
fn keep(at: u32, state: Sums) {
  states[at] = state.num;
  states[at + 1u] = state.den;
  states[at + 2u] = state.base;
  states[at + 3u] = state.age;
}
fn run(channel: u32) {
  let w = small[channel];
  var state = incoming(channel);
  for (var t = 0u; t < sizes.T; t++) {
    if (t % sizes.L == 0u) { keep(border(channel, t / sizes.L), state); }
    let i = place(channel, t);
    let flags = flag(channel, t);
    if (flags == 1.0 || flags == 3.0) { state = EMPTY; }
    if (flags < 2.0) { state = written(state, w, k[i], v[i]); }
  }
  keep(border(channel, sizes.chunks), Sums(dLastNum[channel], dLastDen[channel], dLastMax[channel], 0.0));
}`,
}

/** Tokens whose states are computed again at once. */
export const chunk = 16

/**
 * Against time, chunk by chunk. The max of a written state passes its cotangent on to the larger of the two it came from;
 * nothing hangs on the one that the weights of a reading share. `ends`: by w, by u, and by the three parts of the state.
 */
export const backward: Shader = {
  name: 'wkv4.backward',
  sizes,
  inputs: ['small', 'k', 'v', 'states', 'dy'],
  outputs: ['dk', 'dv', 'ends'],
  body: `${shared}
struct Cotangents { num: f32, den: f32, max: f32 }
fn run(channel: u32) {
  let w = small[channel];
  let u = small[channels() + channel];
  let end = border(channel, sizes.chunks);
  var g = Cotangents(states[end], states[end + 1u], states[end + 2u]);
  var dw = 0.0;
  var du = 0.0;
  var befores: array<Sums, ${chunk}>;
  for (var left = sizes.chunks; left > 0u; left--) {
    let first = (left - 1u) * sizes.L;
    let count = min(sizes.L, sizes.T - first);
    let at = border(channel, left - 1u);
    var state = Sums(states[at], states[at + 1u], states[at + 2u], states[at + 3u]);
    for (var j = 0u; j < count; j++) {
      let i = place(channel, first + j);
      let flags = flag(channel, first + j);
      if (flags == 1.0 || flags == 3.0) { state = EMPTY; }
      befores[j] = state;
      if (flags < 2.0) { state = written(state, w, k[i], v[i]); }
    }
    for (var back = count; back > 0u; back--) {
      let i = place(channel, first + back - 1u);
      let flags = flag(channel, first + back - 1u);
      let before = befores[back - 1u];
      let key = k[i];
      let value = v[i];
      var byKey = 0.0;
      var byValue = 0.0;
      if (flags < 2.0) {
        let gap = gapTo(key, w, before, 1.0);
        let s = weights(gap);
        let byOld = s.x * (g.num * before.num + g.den * before.den);
        let byRecent = s.y * (g.num * value + g.den);
        let older = gap >= 0.0;
        byKey = select(g.max - byOld, byRecent, older);
        byValue = s.y * g.num;
        g = Cotangents(s.x * g.num, s.x * g.den, select(byOld, g.max - byRecent, older));
        dw += g.max;
      }
      let s = weights(gapTo(key + u, w, before, 0.0));
      let inverse = 1.0 / (s.x * before.den + s.y);
      let gNum = dy[i] * inverse;
      let gDen = -gNum * (s.x * before.num + s.y * value) * inverse;
      let byRecent = s.y * (gNum * value + gDen);
      dk[i] = byKey + byRecent;
      dv[i] = byValue + s.y * gNum;
      du += byRecent;
      g.num += s.x * gNum;
      g.den += s.x * gDen;
      g.max += s.x * (gNum * before.num + gDen * before.den);
      if (flags == 1.0 || flags == 3.0) { g = Cotangents(0.0, 0.0, 0.0); }
    }
  }
  let n = channels();
  ends[channel] = dw;
  ends[n + channel] = du;
  ends[2u * n + channel] = g.num;
  ends[3u * n + channel] = g.den;
  ends[4u * n + channel] = g.max;
}`,
}

/** Gradients by what is the same for all rows of the batch, and by the state that came in. */
export const parameters = (form: Form): Shader => ({
  name: 'wkv4.parameters',
  sizes,
  inputs: ['small', 'ends'],
  outputs: ['dtimeDecay', 'dtimeFirst', ...present(form, 'num', 'den', 'max').map((name) => `d${name}`)],
  body: `
fn run(d: u32) {
  let n = sizes.B * sizes.D;
  var byDecay = 0.0;
  var byFirst = 0.0;
  for (var channel = d; channel < n; channel += sizes.D) {
    byDecay += ends[channel];
    byFirst += ends[n + channel];
    ${form.num ? 'dnum[channel] = ends[2u * n + channel];' : ''}
    ${form.den ? 'dden[channel] = ends[3u * n + channel];' : ''}
    ${form.max ? 'dmax[channel] = ends[4u * n + channel];' : ''}
  }
  dtimeDecay[d] = byDecay * small[d];
  dtimeFirst[d] = byFirst;
}`,
})
