import type { Shader } from './run.js'

/** What travels as bits: factors of an update, the biases of both moments among them. */
export const factors = ['gradScale', 'beta1', 'rest1', 'beta2', 'rest2', 'bias1', 'bias2', 'eps', 'lr', 'kept']

/** One invocation a number. */
export const update: Shader = {
  name: 'adamW',
  sizes: factors,
  inputs: ['parameter', 'grad', 'm', 'v'],
  outputs: ['nextParameter', 'nextM', 'nextV'],
  body: `
fn run(i: u32) {
  let g = grad[i] * bitcast<f32>(sizes.gradScale);
  let first = m[i] * bitcast<f32>(sizes.beta1) + g * bitcast<f32>(sizes.rest1);
  let second = v[i] * bitcast<f32>(sizes.beta2) + g * g * bitcast<f32>(sizes.rest2);
  let deviation = sqrt(second / bitcast<f32>(sizes.bias2)) + bitcast<f32>(sizes.eps);
  let step = first / bitcast<f32>(sizes.bias1) / deviation;
  nextParameter[i] = parameter[i] * bitcast<f32>(sizes.kept) - step * bitcast<f32>(sizes.lr);
  nextM[i] = first;
  nextV[i] = second;
}`,
}
