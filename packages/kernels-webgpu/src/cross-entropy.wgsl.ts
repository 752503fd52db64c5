import type { Shader } from './run.js'
import { totalOf } from './total.wgsl.js'

/** Invocations that share a row. */
export const groupSize = 64

/** Largest logit of row n, and the sum of exponentials below it. */
const sums = `${totalOf(groupSize)}
var<workgroup> tops: array<f32, ${groupSize}>;
fn largest(lane: u32, part: f32) -> f32 {
  tops[lane] = part;
  workgroupBarrier();
  for (var half = ${groupSize / 2}u; half > 0u; half /= 2u) {
    if (lane < half) { tops[lane] = max(tops[lane], tops[lane + half]); }
    workgroupBarrier();
  }
  let top = tops[0];
  workgroupBarrier();
  return top;
}
fn sumsOf(n: u32, lane: u32) -> vec2f {
  var top = logits[n * sizes.V];
  for (var v = lane; v < sizes.V; v += ${groupSize}u) { top = max(top, logits[n * sizes.V + v]); }
  top = largest(lane, top);
  var sum = 0.0;
  for (var v = lane; v < sizes.V; v += ${groupSize}u) { sum += exp(logits[n * sizes.V + v] - top); }
  return vec2f(top, total(lane, sum));
}`

/** One workgroup a row. */
export const forward: Shader = {
  name: 'crossEntropy',
  groupSize,
  sizes: ['V'],
  inputs: ['logits', 'targets'],
  whole: ['targets'],
  outputs: ['nll'],
  body: `${sums}
fn run(n: u32, lane: u32) {
  let s = sumsOf(n, lane);
  if (lane == 0u) { nll[n] = log(s.y) - (logits[n * sizes.V + u32(targets[n])] - s.x); }
}`,
}

/** Shares of the softmax, less 1 at the target, times the cotangent of the row. */
export const backward: Shader = {
  name: 'crossEntropy.backward',
  groupSize,
  sizes: ['V'],
  inputs: ['logits', 'targets', 'dnll'],
  whole: ['targets'],
  outputs: ['dlogits'],
  body: `${sums}
fn run(n: u32, lane: u32) {
  let s = sumsOf(n, lane);
  for (var v = lane; v < sizes.V; v += ${groupSize}u) {
    let share = exp(logits[n * sizes.V + v] - s.x) / s.y;
    dlogits[n * sizes.V + v] = dnll[n] * (share - select(0.0, 1.0, v == u32(targets[n])));
  }
}`,
}
