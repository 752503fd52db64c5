import type { Shader } from './run.js'

/** Invocations of a workgroup: words whose logits stand at one time. */
export const groupSize = 64
/** Tokens of a workgroup. */
export const rows = 16
/** Words that a workgroup walks over. */
export const piece = 256
/** Features that lie in workgroup memory at one time. */
const depth = 16

/**
 * For a few tokens and one piece of the vocabulary: largest logit, and the sum of exponentials below it. An invocation
 * holds the logits of one word, with running sums of its own, which are joined in the end.
 */
export const pieces = (bias: boolean): Shader => ({
  name: 'linearCrossEntropy.pieces',
  groupSize,
  sizes: ['N', 'D', 'V', 'pieces'],
  inputs: ['hidden', 'weight', ...(bias ? ['bias'] : [])],
  outputs: ['sums'],
  body: `
const ROWS = ${rows}u;
const DEPTH = ${depth}u;
var<workgroup> tokens: array<f32, ${depth * rows}>;
// one number more a word, so that neighbours read from different banks
var<workgroup> words: array<f32, ${groupSize * (depth + 1)}>;
var<workgroup> tops: array<f32, ${rows * groupSize}>;
var<workgroup> totals: array<f32, ${rows * groupSize}>;
fn run(group: u32, lane: u32) {
  let first = (group / sizes.pieces) * ROWS;
  let start = (group % sizes.pieces) * ${piece}u;
  var top: array<f32, ${rows}>;
  var total: array<f32, ${rows}>;
  for (var j = 0u; j < ROWS; j++) {
    top[j] = -1e30;
    total[j] = 0.0;
  }
  for (var base = start; base < min(start + ${piece}u, sizes.V); base += ${groupSize}u) {
    var logits = array<f32, ${rows}>();
    for (var begin = 0u; begin < sizes.D; begin += DEPTH) {
      workgroupBarrier();
      for (var i = lane; i < ${depth * rows}u; i += ${groupSize}u) {
        let n = first + i / DEPTH;
        let d = begin + i % DEPTH;
        var x = 0.0;
        if (n < sizes.N && d < sizes.D) { x = hidden[n * sizes.D + d]; }
        tokens[(i % DEPTH) * ROWS + i / DEPTH] = x;
      }
      for (var i = lane; i < ${depth * groupSize}u; i += ${groupSize}u) {
        let v = base + i / DEPTH;
        let d = begin + i % DEPTH;
        var w = 0.0;
        if (v < sizes.V && d < sizes.D) { w = weight[v * sizes.D + d]; }
        words[(i / DEPTH) * (DEPTH + 1u) + i % DEPTH] = w;
      }
      workgroupBarrier();
      for (var d = 0u; d < DEPTH; d++) {
        let w = words[lane * (DEPTH + 1u) + d];
        for (var j = 0u; j < ROWS; j++) { logits[j] += w * tokens[d * ROWS + j]; }
      }
    }
    let v = base + lane;
    if (v < sizes.V) {
      for (var j = 0u; j < ROWS; j++) {
        let logit = logits[j]${bias ? ' + bias[v]' : ''};
        let largest = max(top[j], logit);
        total[j] = total[j] * exp(top[j] - largest) + exp(logit - largest);
        top[j] = largest;
      }
    }
  }
  for (var j = 0u; j < ROWS; j++) {
    tops[j * ${groupSize}u + lane] = top[j];
    totals[j * ${groupSize}u + lane] = total[j];
  }
  workgroupBarrier();
  let n = first + lane;
  if (lane >= ROWS || n >= sizes.N) { return; }
  var largest = -1e30;
  for (var i = 0u; i < ${groupSize}u; i++) { largest = max(largest, tops[lane * ${groupSize}u + i]); }
  var sum = 0.0;
  for (var i = 0u; i < ${groupSize}u; i++) {
    sum += totals[lane * ${groupSize}u + i] * exp(tops[lane * ${groupSize}u + i] - largest);
  }
  let at = 2u * (n * sizes.pieces + group % sizes.pieces);
  sums[at] = largest;
  sums[at + 1u] = sum;
}`,
})

/** One invocation a token: all pieces, less the logit of the target. */
export const joined = (bias: boolean): Shader => ({
  name: 'linearCrossEntropy.joined',
  sizes: ['D', 'pieces'],
  inputs: ['sums', 'hidden', 'weight', ...(bias ? ['bias'] : []), 'targets'],
  whole: ['targets'],
  outputs: ['nll', 'lse'],
  body: `
fn run(n: u32) {
  let begin = 2u * n * sizes.pieces;
  var top = -1e30;
  for (var i = 0u; i < sizes.pieces; i++) { top = max(top, sums[begin + 2u * i]); }
  var total = 0.0;
  for (var i = 0u; i < sizes.pieces; i++) { total += sums[begin + 2u * i + 1u] * exp(sums[begin + 2u * i] - top); }
  let v = u32(targets[n]);
  var chosen = ${bias ? 'bias[v]' : '0.0'};
  for (var d = 0u; d < sizes.D; d++) { chosen += hidden[n * sizes.D + d] * weight[v * sizes.D + d]; }
  lse[n] = top + log(total);
  nll[n] = (top - chosen) + log(total);
}`,
})
