import type { Shader } from './run.js'

// The tail and x after it are one sequence of T + W - 1 rows, of which token t reads rows t to t + W - 1.

/** Which optional inputs a call has. */
export interface Form {
  readonly bias: boolean
  readonly tail: boolean
}

const sizes = ['B', 'T', 'D', 'W']
const present = (form: Form, ...names: (keyof Form)[]): string[] => names.filter((name) => form[name])

const rowAt = ({ tail }: Form): string => `
fn rowAt(b: u32, e: u32, d: u32) -> f32 {
  let P = sizes.W - 1u;
  if (e >= P) { return x[(b * sizes.T + e - P) * sizes.D + d]; }
  ${tail ? 'return tail[(b * P + e) * sizes.D + d];' : 'return 0.0;'}
}`

/** One invocation a token and channel, and one more a number of the tail that is left. */
export const forward = (form: Form): Shader => ({
  name: 'shortConv',
  sizes,
  inputs: ['x', 'weight', ...present(form, 'bias', 'tail')],
  outputs: ['y', 'last'],
  body: `${rowAt(form)}
fn run(index: u32) {
  let d = index % sizes.D;
  let rows = sizes.T + sizes.W - 1u;
  let e = (index / sizes.D) % rows;
  let b = index / (sizes.D * rows);
  if (e >= sizes.T) {
    last[(b * (sizes.W - 1u) + e - sizes.T) * sizes.D + d] = rowAt(b, e, d);
    return;
  }
  var sum = ${form.bias ? 'bias[d]' : '0.0'};
  for (var j = 0u; j < sizes.W; j++) { sum += weight[d * sizes.W + j] * rowAt(b, e + j, d); }
  y[(b * sizes.T + e) * sizes.D + d] = sum;
}`,
})

/** What each row of the sequence got: `sum_j w_j dy_{e - j}`, and the cotangent of the tail where it is in it. */
export const rows = (form: Form): Shader => ({
  name: 'shortConv.rows',
  sizes,
  inputs: ['weight', 'dy', 'dlast'],
  outputs: ['dx', ...present(form, 'tail').map(() => 'dtail')],
  body: `
fn run(index: u32) {
  let P = sizes.W - 1u;
  let d = index % sizes.D;
  let e = (index / sizes.D) % (sizes.T + P);
  let b = index / (sizes.D * (sizes.T + P));
  var sum = 0.0;
  for (var j = 0u; j < sizes.W; j++) {
    if (e >= j && e - j < sizes.T) { sum += weight[d * sizes.W + j] * dy[(b * sizes.T + e - j) * sizes.D + d]; }
  }
  if (e >= sizes.T) { sum += dlast[(b * P + e - sizes.T) * sizes.D + d]; }
  if (e >= P) { dx[(b * sizes.T + e - P) * sizes.D + d] = sum; }
  ${form.tail ? 'else { dtail[(b * P + e) * sizes.D + d] = sum; }' : ''}
}`,
})

/** Tokens that one invocation sums over. */
export const stretch = 64

/** Sums of dy and of dy times the row of each tap, over a stretch of one row of the batch; place W is that of dy alone. */
export const partials = (form: Form): Shader => ({
  name: 'shortConv.partials',
  sizes,
  inputs: ['x', 'dy', ...present(form, 'tail')],
  outputs: ['sums'],
  body: `${rowAt(form)}
fn run(index: u32) {
  let d = index % sizes.D;
  let j = (index / sizes.D) % (sizes.W + 1u);
  let part = index / (sizes.D * (sizes.W + 1u));
  let parts = (sizes.T + ${stretch - 1}u) / ${stretch}u;
  let b = part / parts;
  let first = (part % parts) * ${stretch}u;
  var sum = 0.0;
  for (var t = first; t < min(first + ${stretch}u, sizes.T); t++) {
    let g = dy[(b * sizes.T + t) * sizes.D + d];
    if (j == sizes.W) { sum += g; } else { sum += g * rowAt(b, t + j, d); }
  }
  sums[index] = sum;
}`,
})

/** Gradients by weight and bias: one invocation a number, over all stretches. */
export const parameters = (form: Form): Shader => ({
  name: 'shortConv.parameters',
  sizes,
  inputs: ['sums'],
  outputs: ['dweight', ...present(form, 'bias').map(() => 'dbias')],
  body: `
fn run(index: u32) {
  let d = index % sizes.D;
  let j = index / sizes.D;
  let parts = sizes.B * ((sizes.T + ${stretch - 1}u) / ${stretch}u);
  var sum = 0.0;
  for (var part = 0u; part < parts; part++) { sum += sums[(part * (sizes.W + 1u) + j) * sizes.D + d]; }
  if (j < sizes.W) { dweight[d * sizes.W + j] = sum; }
  ${form.bias ? 'else { dbias[d] = sum; }' : ''}
}`,
})
