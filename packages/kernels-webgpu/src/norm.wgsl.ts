import type { Shader } from './run.js'
import { totalOf } from './total.wgsl.js'

/** Which of the two norms, and which parameters a call has. The root mean square is a deviation from 0. */
export interface Form {
  readonly centred: boolean
  readonly weight: boolean
  readonly bias: boolean
}

/** Invocations that share a row. */
export const groupSize = 64
/** Rows that one invocation sums over, for weight and bias. */
export const stretch = 64

export const sizes = ['N', 'D', 'eps']
const nameOf = ({ centred }: Form): string => (centred ? 'layerNorm' : 'rmsNorm')
const present = (form: Form, ...names: ('weight' | 'bias')[]): string[] => names.filter((name) => form[name])

const meanOfRow = `
  var sum = 0.0;
  for (var d = lane; d < sizes.D; d += ${groupSize}u) { sum += x[n * sizes.D + d]; }
  let mean = total(lane, sum) / f32(sizes.D);`

/** Mean (or 0) and 1 / deviation of row n, the latter of differences from the mean. */
const statistics = ({ centred }: Form): string => `${totalOf(groupSize)}
fn statisticsOf(n: u32, lane: u32) -> vec2f {
${centred ? meanOfRow : '  let mean = 0.0;'}
  var squares = 0.0;
  for (var d = lane; d < sizes.D; d += ${groupSize}u) {
    let centred = x[n * sizes.D + d] - mean;
    squares += centred * centred;
  }
  return vec2f(mean, inverseSqrt(total(lane, squares) / f32(sizes.D) + bitcast<f32>(sizes.eps)));
}`

/** One workgroup a row. */
export const forward = (form: Form): Shader => ({
  name: nameOf(form),
  groupSize,
  sizes,
  inputs: ['x', ...present(form, 'weight', 'bias')],
  outputs: ['y'],
  body: `${statistics(form)}
fn run(n: u32, lane: u32) {
  let s = statisticsOf(n, lane);
  for (var d = lane; d < sizes.D; d += ${groupSize}u) {
    let i = n * sizes.D + d;
    y[i] = (x[i] - s.x) * s.y${form.weight ? ' * weight[d]' : ''}${form.bias ? ' + bias[d]' : ''};
  }
}`,
})

/** With g = dy * weight and u the normed row: dx = (g - mean(g) - u mean(g u)) / deviation, without mean(g) if not centred. Keeps the statistics. */
export const rows = (form: Form): Shader => ({
  name: `${nameOf(form)}.rows`,
  groupSize,
  sizes,
  inputs: ['x', ...present(form, 'weight'), 'dy'],
  outputs: ['dx', 'stats'],
  body: `${statistics(form)}
fn run(n: u32, lane: u32) {
  let s = statisticsOf(n, lane);
  var sum = 0.0;
  var product = 0.0;
  for (var d = lane; d < sizes.D; d += ${groupSize}u) {
    let i = n * sizes.D + d;
    let g = dy[i]${form.weight ? ' * weight[d]' : ''};
    sum += g;
    product += g * (x[i] - s.x) * s.y;
  }
  let level = ${form.centred ? 'total(lane, sum) / f32(sizes.D)' : '0.0'};
  let along = total(lane, product) / f32(sizes.D);
  for (var d = lane; d < sizes.D; d += ${groupSize}u) {
    let i = n * sizes.D + d;
    let g = dy[i]${form.weight ? ' * weight[d]' : ''};
    dx[i] = s.y * (g - level - (x[i] - s.x) * s.y * along);
  }
  if (lane == 0u) {
    stats[2u * n] = s.x;
    stats[2u * n + 1u] = s.y;
  }
}`,
})

/** Sums of dy u and of dy over a stretch of rows. */
export const partials: Shader = {
  name: 'norm.partials',
  sizes,
  inputs: ['x', 'dy', 'stats'],
  outputs: ['sums'],
  body: `
fn run(index: u32) {
  let d = index % sizes.D;
  let part = index / sizes.D;
  var scaled = 0.0;
  var plain = 0.0;
  for (var n = part * ${stretch}u; n < min((part + 1u) * ${stretch}u, sizes.N); n++) {
    let i = n * sizes.D + d;
    scaled += dy[i] * (x[i] - stats[2u * n]) * stats[2u * n + 1u];
    plain += dy[i];
  }
  sums[2u * part * sizes.D + d] = scaled;
  sums[(2u * part + 1u) * sizes.D + d] = plain;
}`,
}

/** Gradients by weight and bias, over all stretches. */
export const parameters = (form: Form): Shader => ({
  name: 'norm.parameters',
  sizes,
  inputs: ['sums'],
  outputs: present(form, 'weight', 'bias').map((name) => `d${name}`),
  body: `
fn run(d: u32) {
  let stretches = (sizes.N + ${stretch - 1}u) / ${stretch}u;
  var scaled = 0.0;
  var plain = 0.0;
  for (var part = 0u; part < stretches; part++) {
    scaled += sums[2u * part * sizes.D + d];
    plain += sums[(2u * part + 1u) * sizes.D + d];
  }
  ${form.weight ? 'dweight[d] = scaled;' : ''}
  ${form.bias ? 'dbias[d] = plain;' : ''}
}`,
})
