import type { Shader } from './run.js'

// One invocation a channel (b, d), its N states in registers. What a token needs lies in one buffer of planes [B, T, D]:
// the step (negative where the token starts anew), u, and what the readout is multiplied by. So no dispatch binds more
// than 8 buffers, whichever inputs there are.

/** What a call has beside its N states. */
export interface Form {
  readonly N: number
  readonly skip: boolean
  readonly deltaBias: boolean
  readonly z: boolean
  readonly resets: boolean
  readonly state: boolean
}

/** Tokens whose states the backward pass computes again at once, from the state at their start. */
export const chunk = 16

export const present = (form: Form, ...names: (keyof Form)[]): string[] => names.filter((name) => form[name])

export const sizes = ['B', 'T', 'D', 'chunks']

/** Parts of the shaders that say where things are. */
export const places = ({ N }: Form): string => `
const N = ${N}u;
const L = ${chunk}u;
fn plane() -> u32 { return sizes.B * sizes.T * sizes.D; }
fn place(channel: u32, t: u32) -> u32 {
  return ((channel / sizes.D) * sizes.T + t) * sizes.D + channel % sizes.D;
}
fn matrices(channel: u32, t: u32) -> u32 { return ((channel / sizes.D) * sizes.T + t) * N; }
fn border(channel: u32, c: u32) -> u32 {
  return (((channel / sizes.D) * sizes.chunks + c) * sizes.D + channel % sizes.D) * N;
}
fn sigmoidOf(dt: f32) -> f32 {
  // 1 - e^-dt, by its series where the difference would be rounded
  return select(1.0 - exp(-dt), dt * (1.0 - dt * (0.5 - dt * (1.0 / 6.0 - dt / 24.0))), dt < 0.05);
}`

/** The planes, for every token of every channel; `dy` is there in the backward pass. */
export const prepare = (form: Form, back: boolean): Shader => ({
  name: 'selectiveScan.prepare',
  sizes,
  inputs: ['u', 'delta', ...present(form, 'deltaBias', 'z', 'resets'), ...(back ? ['dy'] : [])],
  outputs: ['planes'],
  body: `
fn run(i: u32) {
  let plane = sizes.B * sizes.T * sizes.D;
  let x = delta[i]${form.deltaBias ? ' + deltaBias[i % sizes.D]' : ''};
  let e = exp(-abs(x));
  // ln(1 + e) by its series where 1 + e would be rounded
  let step = max(x, 0.0) + select(log(1.0 + e), e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - 0.25 * e))), e < 0.02);
  planes[i] = ${form.resets ? 'select(step, -max(step, 1e-30), resets[i / sizes.D] > 0.5)' : 'step'};
  planes[plane + i] = u[i];
  var gate = ${back ? 'dy[i]' : '1.0'};
  ${form.z ? 'gate *= z[i] / (1.0 + exp(-z[i]));' : ''}
  planes[2u * plane + i] = gate;
}`,
})

/** One token: states x of the channel, of which `kept` is left. */
const advance = `
    let step = planes[i];
    let dt = abs(step);
    let written = dt * planes[plane() + i];
    let kept = select(1.0, 0.0, step < 0.0);`

export const forward = (form: Form): Shader => ({
  name: 'selectiveScan',
  sizes,
  inputs: ['planes', 'A', 'Bt', 'C', ...present(form, 'skip', 'state')],
  outputs: ['y', 'last'],
  body: `${places(form)}
fn run(channel: u32) {
  let d = channel % sizes.D;
  var a: array<f32, N>;
  var x: array<f32, N>;
  for (var n = 0u; n < N; n++) {
    a[n] = A[d * N + n];
    x[n] = ${form.state ? 'state[channel * N + n]' : '0.0'};
  }
  for (var t = 0u; t < sizes.T; t++) {
    let i = place(channel, t);
    let row = matrices(channel, t);${advance}
    var read = ${form.skip ? 'skip[d] * planes[plane() + i]' : '0.0'};
    for (var n = 0u; n < N; n++) {
      x[n] = kept * exp(dt * a[n]) * x[n] + written * Bt[row + n];
      read += C[row + n] * x[n];
    }
    y[i] = read * planes[2u * plane() + i];
  }
  for (var n = 0u; n < N; n++) { last[channel * N + n] = x[n]; }
}`,
})

/** States before each chunk. */
export const borders = (form: Form): Shader => ({
  name: 'selectiveScan.borders',
  sizes,
  inputs: ['planes', 'A', 'Bt', ...present(form, 'state')],
  outputs: ['xs'],
  body: `${places(form)}
fn run(channel: u32) {
  let d = channel % sizes.D;
  var a: array<f32, N>;
  var x: array<f32, N>;
  for (var n = 0u; n < N; n++) {
    a[n] = A[d * N + n];
    x[n] = ${form.state ? 'state[channel * N + n]' : '0.0'};
  }
  for (var c = 0u; c < sizes.chunks; c++) {
    let at = border(channel, c);
    for (var n = 0u; n < N; n++) { xs[at + n] = x[n]; }
    for (var t = c * L; t < min((c + 1u) * L, sizes.T); t++) {
      let i = place(channel, t);
      let row = matrices(channel, t);${advance}
      for (var n = 0u; n < N; n++) { x[n] = kept * exp(dt * a[n]) * x[n] + written * Bt[row + n]; }
    }
  }
}`,
})

/** Over one state and one chunk: states after each token, and what each token kept of the state before it. */
export const again = `
      var x: array<f32, L + 1u>;
      var kept: array<f32, L>;
      x[0] = xs[border(channel, c) + n];
      for (var j = 0u; j < count; j++) {
        let i = place(channel, first + j);
        let step = planes[i];
        let dt = abs(step);
        kept[j] = select(exp(dt * a), 0.0, step < 0.0);
        x[j + 1u] = kept[j] * x[j] + dt * planes[plane() + i] * Bt[matrices(channel, first + j) + n];
      }`

/**
 * From the last chunk to the first, the cotangents of a channel's states, one state after another inside a chunk. Sums
 * over the states go to planes: by what is written, by the step (through the decay), and the readout. `ends` holds, of
 * every channel, cotangents after each chunk, then that of the first state, then the gradients by A, skip and deltaBias.
 */
export const reverse = (form: Form): Shader => ({
  name: 'selectiveScan.reverse',
  sizes,
  inputs: ['planes', 'A', 'Bt', 'C', 'xs', 'dlast'],
  outputs: ['sums', 'ends'],
  body: `${places(form)}
fn run(channel: u32) {
  let d = channel % sizes.D;
  let whole = sizes.B * sizes.chunks * sizes.D * N;
  let states = sizes.B * sizes.D * N;
  for (var n = 0u; n < N; n++) {
    ends[whole + channel * N + n] = dlast[channel * N + n];
    ends[whole + states + channel * N + n] = 0.0;
  }
  var skipped = 0.0;
  var biased = 0.0;
  for (var left = sizes.chunks; left > 0u; left--) {
    let c = left - 1u;
    let first = c * L;
    let count = min(L, sizes.T - first);
    // written out, because SwiftShader does not zero what is declared in a loop when it comes round again
    var byWritten = array<f32, L>();
    var byStep = array<f32, L>();
    var read = array<f32, L>();
    for (var n = 0u; n < N; n++) {
      let a = A[d * N + n];${again}
      var g = ends[whole + channel * N + n];
      ends[border(channel, c) + n] = g;
      var da = 0.0;
      for (var back = count; back > 0u; back--) {
        let j = back - 1u;
        let i = place(channel, first + j);
        let row = matrices(channel, first + j);
        g += planes[2u * plane() + i] * C[row + n];
        read[j] += C[row + n] * x[j + 1u];
        byWritten[j] += g * Bt[row + n];
        let decayed = g * kept[j] * x[j];
        byStep[j] += a * decayed;
        da += abs(planes[i]) * decayed;
        g *= kept[j];
      }
      ends[whole + channel * N + n] = g;
      ends[whole + states + channel * N + n] += da;
    }
    for (var j = 0u; j < count; j++) {
      let i = place(channel, first + j);
      sums[i] = byWritten[j];
      sums[plane() + i] = byStep[j];
      sums[2u * plane() + i] = read[j];
      let value = planes[plane() + i];
      skipped += planes[2u * plane() + i] * value;
      biased += (value * byWritten[j] + byStep[j]) * sigmoidOf(abs(planes[i]));
    }
  }
  ends[whole + 2u * states + channel] = skipped;
  ends[whole + 2u * states + sizes.B * sizes.D + channel] = biased;
}`,
})
