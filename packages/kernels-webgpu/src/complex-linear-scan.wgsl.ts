import type { Shader } from './run.js'

// As the real scan: each invocation walks one channel (b, d) through time, and neighbours hold neighbouring channels.

const place = `
fn place(channel: u32, step: u32) -> u32 {
  let t = select(step, sizes.T - 1u - step, sizes.backwards == 1u);
  return ((channel / sizes.D) * sizes.T + t) * sizes.D + channel % sizes.D;
}
fn product(a: vec2f, b: vec2f) -> vec2f { return vec2f(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
fn conjugate(a: vec2f) -> vec2f { return vec2f(a.x, -a.y); }`

const sizes = ['T', 'D', 'backwards']

/** What a call has: a factor that is the same for all tokens, and parts of an initial state. */
export interface Form {
  readonly constant: boolean
  readonly h0r: boolean
  readonly h0i: boolean
}

const starts = ({ h0r, h0i }: Form): string[] => [...(h0r ? ['h0r'] : []), ...(h0i ? ['h0i'] : [])]
const factor = ({ constant }: Form): string =>
  constant ? 'vec2f(ar[channel % sizes.D], ai[channel % sizes.D])' : 'vec2f(ar[i], ai[i])'
const start = ({ h0r, h0i }: Form): string => `vec2f(${h0r ? 'h0r[channel]' : '0.0'}, ${h0i ? 'h0i[channel]' : '0.0'})`

export const forward = (form: Form): Shader => ({
  name: 'complexLinearScan',
  sizes,
  inputs: ['ar', 'ai', 'br', 'bi', ...starts(form)],
  outputs: ['hr', 'hi'],
  body: `${place}
fn run(channel: u32) {
  var state = ${start(form)};
  for (var step = 0u; step < sizes.T; step++) {
    let i = place(channel, step);
    state = product(${factor(form)}, state) + vec2f(br[i], bi[i]);
    hr[i] = state.x;
    hi[i] = state.y;
  }
}`,
})

/** `g_t = dh_t + conj(a_{t+1}) g_{t+1}` is the gradient by b, and `conj(a_1) g_1` that by h0. */
export const backward = (form: Form): Shader => ({
  name: 'complexLinearScan.backward',
  sizes,
  inputs: ['ar', 'ai', 'dhr', 'dhi'],
  outputs: ['dbr', 'dbi', ...starts(form).map((name) => `d${name}`)],
  body: `${place}
fn run(channel: u32) {
  var carried = vec2f(0.0);
  for (var step = sizes.T; step > 0u; step--) {
    let i = place(channel, step - 1u);
    let g = vec2f(dhr[i], dhi[i]) + carried;
    dbr[i] = g.x;
    dbi[i] = g.y;
    carried = product(conjugate(${factor(form)}), g);
  }
  ${form.h0r ? 'dh0r[channel] = carried.x;' : ''}
  ${form.h0i ? 'dh0i[channel] = carried.y;' : ''}
}`,
})

/** `da_t = g_t conj(h_{t-1})` of every token, or its sum over the tokens of a row. */
export const factorGradient = (form: Form): Shader => ({
  name: 'complexLinearScan.factor',
  sizes,
  inputs: ['dbr', 'dbi', 'hr', 'hi', ...starts(form)],
  outputs: ['dar', 'dai'],
  body: `${place}
fn run(channel: u32) {
  var before = ${start(form)};
  var total = vec2f(0.0);
  for (var step = 0u; step < sizes.T; step++) {
    let i = place(channel, step);
    let da = product(vec2f(dbr[i], dbi[i]), conjugate(before));
    before = vec2f(hr[i], hi[i]);
    ${form.constant ? 'total += da;' : 'dar[i] = da.x;\n    dai[i] = da.y;'}
  }
  ${form.constant ? 'dar[channel] = total.x;\n  dai[channel] = total.y;' : ''}
}`,
})

/** Sums over the rows of the batch. */
export const rowSum: Shader = {
  name: 'complexLinearScan.rows',
  sizes: ['B', 'D'],
  inputs: ['re', 'im'],
  outputs: ['dar', 'dai'],
  body: `
fn run(d: u32) {
  var total = vec2f(0.0);
  for (var b = 0u; b < sizes.B; b++) { total += vec2f(re[b * sizes.D + d], im[b * sizes.D + d]); }
  dar[d] = total.x;
  dai[d] = total.y;
}`,
}
