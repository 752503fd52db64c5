import type { Shader } from './run.js'

// Each invocation walks one channel (b, d) through time. Neighbouring invocations hold neighbouring channels, so that
// every step of a workgroup reads and writes whole lines of memory.

const place = `
fn place(channel: u32, step: u32) -> u32 {
  let t = select(step, sizes.T - 1u - step, sizes.backwards == 1u);
  return ((channel / sizes.D) * sizes.T + t) * sizes.D + channel % sizes.D;
}`

const sizes = ['T', 'D', 'backwards']

/** `h_t = a_t h_{t-1} + b_t`, from h0 or from zero. */
const forward = (h0: boolean): Shader => ({
  name: 'linearScan',
  sizes,
  inputs: ['a', 'b', ...(h0 ? ['h0'] : [])],
  outputs: ['h'],
  body: `${place}
fn run(channel: u32) {
  var state = ${h0 ? 'h0[channel]' : '0.0'};
  for (var step = 0u; step < sizes.T; step++) {
    let i = place(channel, step);
    state = a[i] * state + b[i];
    h[i] = state;
  }
}`,
})

/** `g_t = dh_t + a_{t+1} g_{t+1}`, then `db_t = g_t`, `da_t = g_t h_{t-1}`, `dh0 = a_1 g_1`: all in the one walk back. */
const backward = (h0: boolean): Shader => ({
  name: 'linearScan.backward',
  sizes,
  inputs: ['a', 'h', 'dh', ...(h0 ? ['h0'] : [])],
  outputs: ['da', 'db', ...(h0 ? ['dh0'] : [])],
  body: `${place}
fn run(channel: u32) {
  var carried = 0.0;
  for (var step = sizes.T; step > 0u; step--) {
    let i = place(channel, step - 1u);
    let g = dh[i] + carried;
    var before = ${h0 ? 'h0[channel]' : '0.0'};
    if (step > 1u) { before = h[place(channel, step - 2u)]; }
    da[i] = g * before;
    db[i] = g;
    carried = a[i] * g;
  }${h0 ? '\n  dh0[channel] = carried;' : ''}
}`,
})

/** Both forms of each, so that a shader is one object and its source is put together once. */
export const forwardShaders = { plain: forward(false), withState: forward(true) }
export const backwardShaders = { plain: backward(false), withState: backward(true) }
