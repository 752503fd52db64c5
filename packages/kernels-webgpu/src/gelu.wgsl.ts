import type { Shader } from './run.js'

// Φ by the error function, erf(z) = 1 - poly(t) e^(-z²): Abramowitz and Stegun 1964, 7.1.26, as the reference has it.

const normal = `
fn gaussian(x: f32) -> f32 { return exp(-0.5 * x * x); }
fn below(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x) * 0.70710678);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  let beyond = 0.5 * p * gaussian(x);
  return select(1.0 - beyond, beyond, x < 0.0);
}`

export const forward: Shader = {
  name: 'gelu',
  sizes: [],
  inputs: ['x'],
  outputs: ['y'],
  body: `${normal}
fn run(i: u32) { y[i] = x[i] * below(x[i]); }`,
}

export const backward: Shader = {
  name: 'gelu.backward',
  sizes: [],
  inputs: ['x', 'dy'],
  outputs: ['dx'],
  body: `${normal}
fn run(i: u32) { dx[i] = dy[i] * (below(x[i]) + x[i] * 0.3989422804 * gaussian(x[i])); }`,
}
