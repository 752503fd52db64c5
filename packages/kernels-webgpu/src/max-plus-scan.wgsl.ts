import type { Shader } from './run.js'

/** `m_t = max(a_t + m_{t-1}, b_t)`: each invocation walks one channel, neighbours lie beside each other in memory. */
const forward = (m0: boolean): Shader => ({
  name: 'maxPlusScan',
  sizes: ['T', 'D'],
  inputs: ['a', 'b', ...(m0 ? ['m0'] : [])],
  outputs: ['m'],
  body: `
fn run(channel: u32) {
  var i = (channel / sizes.D) * sizes.T * sizes.D + channel % sizes.D;
  var greatest = ${m0 ? 'max(a[i] + m0[channel], b[i])' : 'b[i]'};
  m[i] = greatest;
  for (var t = 1u; t < sizes.T; t++) {
    i += sizes.D;
    greatest = max(a[i] + greatest, b[i]);
    m[i] = greatest;
  }
}`,
})

/** Both forms, so that a shader is one object and its source is put together once. */
export const maxPlusShaders = { plain: forward(false), withState: forward(true) }
