import type { Shader } from './run.js'

/** Invocations of a workgroup: words whose logits stand at one time. */
export const groupSize = 64
/** Tokens of a workgroup. */
export const rows = 16
/** Words that a workgroup walks over. */
export const piece = 256
/** Features that lie in workgroup memory at one time. */
const depth = 16

/** Fills `logits` with those of ROWS tokens from `first` on and the word `base + lane`, bias left out. */
const tile = `
const ROWS = ${rows}u;
const DEPTH = ${depth}u;
var<workgroup> tokens: array<f32, ${depth * rows}>;
// one number more a word, so that neighbours read from different banks
var<workgroup> words: array<f32, ${groupSize * (depth + 1)}>;
var<private> logits: array<f32, ${rows}>;
fn fillLogits(first: u32, base: u32, lane: u32) {
  logits = array<f32, ${rows}>();
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
}`

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
  body: `${tile}
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
    fillLogits(first, base, lane);
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

/** What the gradient of a token's logits is made of: lse, the share of the exponentials, and what the target loses. */
export const coefficients: Shader = {
  name: 'linearCrossEntropy.coefficients',
  sizes: [],
  inputs: ['lse', 'dnll', 'dlse'],
  outputs: ['given'],
  body: `
fn run(n: u32) {
  given[3u * n] = lse[n];
  given[3u * n + 1u] = dnll[n] + dlse[n];
  given[3u * n + 2u] = dnll[n];
}`,
}

/** `slopes`: gradients of the logits of ROWS tokens and the words of all lanes; 0 past the ends. */
const slopes = (bias: boolean): string => `${tile}
var<workgroup> slopes: array<f32, ${groupSize * rows}>;
fn fillSlopes(first: u32, base: u32, lane: u32) {
  fillLogits(first, base, lane);
  let v = base + lane;
  for (var j = 0u; j < ROWS; j++) {
    let n = first + j;
    var slope = 0.0;
    if (n < sizes.N && v < sizes.V) {
      let logit = logits[j]${bias ? ' + bias[v]' : ''};
      slope = exp(logit - given[3u * n]) * given[3u * n + 1u];
      if (v == u32(targets[n])) { slope -= given[3u * n + 2u]; }
    }
    slopes[lane * ROWS + j] = slope;
  }
  workgroupBarrier();
}`

/** A workgroup owns a few tokens and walks over all words, so that nobody else adds to its rows. */
export const toHidden = (bias: boolean): Shader => ({
  name: 'linearCrossEntropy.toHidden',
  groupSize,
  sizes: ['N', 'D', 'V'],
  inputs: ['hidden', 'weight', ...(bias ? ['bias'] : []), 'targets', 'given'],
  whole: ['targets'],
  outputs: ['dhidden'],
  body: `${slopes(bias)}
fn run(group: u32, lane: u32) {
  let first = group * ROWS;
  for (var base = 0u; base < sizes.V; base += ${groupSize}u) {
    fillSlopes(first, base, lane);
    let count = min(${groupSize}u, sizes.V - base);
    for (var d = lane; d < sizes.D; d += ${groupSize}u) {
      var sums = array<f32, ${rows}>();
      for (var i = 0u; i < count; i++) {
        let w = weight[(base + i) * sizes.D + d];
        for (var j = 0u; j < ROWS; j++) { sums[j] += w * slopes[i * ROWS + j]; }
      }
      for (var j = 0u; j < min(ROWS, sizes.N - first); j++) {
        let at = (first + j) * sizes.D + d;
        dhidden[at] = sums[j] + select(dhidden[at], 0.0, base == 0u);
      }
    }
    workgroupBarrier();
  }
}`,
})

/** A workgroup owns the words of its lanes and walks over all tokens. */
export const toWeight = (bias: boolean): Shader => ({
  name: 'linearCrossEntropy.toWeight',
  groupSize,
  sizes: ['N', 'D', 'V'],
  inputs: ['hidden', 'weight', ...(bias ? ['bias'] : []), 'targets', 'given'],
  whole: ['targets'],
  outputs: ['dweight', ...(bias ? ['dbias'] : [])],
  body: `${slopes(bias)}
fn run(group: u32, lane: u32) {
  let base = group * ${groupSize}u;
  let count = min(${groupSize}u, sizes.V - base);
  ${bias ? 'var total = 0.0;' : ''}
  for (var first = 0u; first < sizes.N; first += ROWS) {
    fillSlopes(first, base, lane);
    ${bias ? 'for (var j = 0u; j < ROWS; j++) { total += slopes[lane * ROWS + j]; }' : ''}
    let tokensHere = min(ROWS, sizes.N - first);
    for (var d = lane; d < sizes.D; d += ${groupSize}u) {
      for (var i = 0u; i < count; i++) {
        var sum = 0.0;
        for (var j = 0u; j < tokensHere; j++) { sum += slopes[i * ROWS + j] * hidden[(first + j) * sizes.D + d]; }
        let at = (base + i) * sizes.D + d;
        dweight[at] = sum + select(dweight[at], 0.0, first == 0u);
      }
    }
    workgroupBarrier();
  }
  ${bias ? 'if (lane < count) { dbias[base + lane] = total; }' : ''}
}`,
})
