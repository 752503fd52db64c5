import type { Shader } from './run.js'
import {
  common,
  type Form,
  groupSize,
  loadKeys,
  queryWalk,
  scoreInputs,
  sizes,
  when,
} from './softmax-attention.wgsl.js'

/** Of each query: its log sum, and what the softmax takes off the gradient of each probability. */
export const rowStatistics: Shader = {
  name: 'softmaxAttention.rows',
  sizes: ['T', 'H', 'V'],
  inputs: ['o', 'lse', 'dO', 'dLse'],
  outputs: ['statistics'],
  body: `
fn run(index: u32) {
  let i = index % sizes.T;
  let h = (index / sizes.T) % sizes.H;
  let at = (((index / sizes.T / sizes.H) * sizes.T + i) * sizes.H + h) * sizes.V;
  var offset = -dLse[index];
  for (var c = 0u; c < sizes.V; c++) { offset += dO[at + c] * o[at + c]; }
  statistics[2u * index] = lse[index];
  statistics[2u * index + 1u] = offset;
}`,
}

/** Gradients of the queries and of a bias; with gates or slopes, also what each query adds to theirs. */
export const queryGradient = (form: Form): Shader => ({
  name: 'softmaxAttention.queries',
  groupSize,
  sizes,
  inputs: ['q', 'k', 'v', 'dO', 'statistics', ...scoreInputs(form)],
  outputs: ['dq', ...(form.logForget || form.slopes ? ['rowSums'] : []), ...(form.bias ? ['dBias'] : [])],
  body: `${common(form)}
${loadKeys}
fn run(group: u32, lane: u32) {${queryWalk(form, {
    start: `  var dy: array<f32, V>;
  for (var c = 0u; c < V; c++) { dy[c] = dO[own * V + c]; }
  let within = (b * sizes.H + h) * sizes.T + min(i, sizes.T - 1u);
  let logSum = statistics[2u * within];
  let offset = statistics[2u * within + 1u];
  var dQuery: array<f32, K>;
  var sum = 0.0;
  var distance = 0.0;`,
    perKey: `      var dP = -offset;
      for (var c = 0u; c < V; c++) { dP += dy[c] * tileV[at * V + c]; }
      let d = exponential(score - logSum) * dP;
${when(form.bias, '      if (i < sizes.T && j < sizes.S) { dBias[row * sizes.S + j] = d; }')}
      sum += d;
      distance += d * f32(abs(position(i) - i32(j)));
      let dx = d * slopeOf(x);
      for (var c = 0u; c < K; c++) { dQuery[c] += dx * tileK[at * K + c]; }`,
    skipped: when(
      form.bias,
      '      for (var j = begin; i < sizes.T && j < min(begin + TILE, sizes.S); j++) { dBias[row * sizes.S + j] = 0.0; }',
    ),
  })}
  if (i >= sizes.T) { return; }
  for (var c = 0u; c < K; c++) { dq[own * K + c] = dQuery[c] * bitcast<f32>(sizes.scale); }
${when(form.logForget || form.slopes, '  rowSums[2u * row] = sum;', '  rowSums[2u * row + 1u] = distance;')}
}`,
})

/** Gradients of keys and values, one invocation a key, over all queries of all heads that read it. */
export const keyGradient = (form: Form): Shader => ({
  name: 'softmaxAttention.keys',
  groupSize,
  sizes,
  inputs: ['q', 'k', 'v', 'dO', 'statistics', ...scoreInputs(form)],
  outputs: ['dk', 'dv', ...(form.logForget ? ['keySums'] : [])],
  body: `${common(form)}
fn loadQueries(b: u32, h: u32, begin: u32, lane: u32) {
  for (var n = lane; n < TILE * K; n += ${groupSize}u) {
    let i = begin + n / K;
    tileK[n] = 0.0;
    if (i < sizes.T) { tileK[n] = q[vectorQ(b, i, h) * K + n % K]; }
  }
  for (var n = lane; n < TILE * V; n += ${groupSize}u) {
    let i = begin + n / V;
    tileV[n] = 0.0;
    if (i < sizes.T) { tileV[n] = dO[vectorQ(b, i, h) * V + n % V]; }
  }
}

fn run(group: u32, lane: u32) {
  let tiles = (sizes.S + ${groupSize - 1}u) / ${groupSize}u;
  let g = (group / tiles) % sizes.G;
  let b = group / tiles / sizes.G;
  let first = (group % tiles) * ${groupSize}u;
  let j = first + lane;
  let heads = sizes.H / sizes.G;
  let own = (b * sizes.S + min(j, sizes.S - 1u)) * sizes.G + g;
  var key: array<f32, K>;
  var value: array<f32, V>;
  var dKey: array<f32, K>;
  var dValue: array<f32, V>;
  for (var c = 0u; c < K; c++) { key[c] = k[own * K + c]; }
  for (var c = 0u; c < V; c++) { value[c] = v[own * V + c]; }
  for (var h = g * heads; h < (g + 1u) * heads; h++) {
    var gates = 0.0;
    var sum = 0.0;
${when(
  form.logForget,
  '    // gates between the key and the first query, where queries begin later',
  '    for (var l = j + 1u; l < sizes.S - sizes.T; l++) { gates += gateOf(b, h, l); }',
)}
    for (var begin = 0u; begin < sizes.T; begin += TILE) {
      if (!inSight(begin, min(begin + TILE, sizes.T) - 1u, first, min(first + ${groupSize}u, sizes.S))) {
${when(
  form.logForget,
  '        for (var i = begin; i < min(begin + TILE, sizes.T); i++) {',
  '          if (position(i) > i32(j)) { gates += gateOf(b, h, u32(position(i))); }',
  '        }',
)}
        continue;
      }
      workgroupBarrier();
      loadQueries(b, h, begin, lane);
      workgroupBarrier();
      for (var n = 0u; n < TILE; n++) {
        let i = begin + n;
        if (i < sizes.T && position(i) > i32(j)) { gates += gateOf(b, h, u32(position(i))); }
        var product = 0.0;
        for (var c = 0u; c < K; c++) { product += key[c] * tileK[n * K + c]; }
        let x = capped(product);
        let score = select(x + biasOf(b, h, i, j, gates), MASKED, hidden(b, i, j));
        let at = 2u * ((b * sizes.H + h) * sizes.T + min(i, sizes.T - 1u));
        let probability = exponential(score - statistics[at]);
        var dP = -statistics[at + 1u];
        for (var c = 0u; c < V; c++) {
          dP += value[c] * tileV[n * V + c];
          dValue[c] += probability * tileV[n * V + c];
        }
        sum += probability * dP;
        let dx = probability * dP * slopeOf(x);
        for (var c = 0u; c < K; c++) { dKey[c] += dx * tileK[n * K + c]; }
      }
    }
${when(form.logForget, '    if (j < sizes.S) { keySums[(b * sizes.H + h) * sizes.S + j] = sum; }')}
  }
  if (j >= sizes.S) { return; }
  for (var c = 0u; c < K; c++) { dk[own * K + c] = dKey[c] * bitcast<f32>(sizes.scale); }
  for (var c = 0u; c < V; c++) { dv[own * V + c] = dValue[c]; }
}`,
})

/** A gate counts for the queries at and after its token, and is taken off for the keys there: a walk back, one a head. */
export const gateGradient: Shader = {
  name: 'softmaxAttention.gates',
  sizes: ['T', 'S', 'H'],
  inputs: ['rowSums', 'keySums'],
  outputs: ['dLogForget'],
  body: `
fn run(head: u32) {
  var sum = 0.0;
  for (var j = sizes.S; j > 0u; j--) {
    let at = j - 1u;
    if (at + sizes.T >= sizes.S) { sum += rowSums[2u * (head * sizes.T + at + sizes.T - sizes.S)]; }
    sum -= keySums[head * sizes.S + at];
    dLogForget[((head / sizes.H) * sizes.S + at) * sizes.H + head % sizes.H] = sum;
  }
}`,
}

/** Sums over all queries of a head, one workgroup each. */
const headSum = (name: string, inputs: readonly string[], output: string, term: string): Shader => ({
  name,
  groupSize,
  sizes: ['B', 'T', 'H'],
  inputs,
  outputs: [output],
  body: `
var<workgroup> parts: array<f32, ${groupSize}>;
fn run(h: u32, lane: u32) {
  var sum = 0.0;
  for (var n = lane; n < sizes.B * sizes.T; n += ${groupSize}u) {
    let row = ((n / sizes.T) * sizes.H + h) * sizes.T + n % sizes.T;
    sum -= ${term};
  }
  parts[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var n = 1u; n < ${groupSize}u; n++) { sum += parts[n]; }
  ${output}[h] = sum;
}`,
})

export const slopeGradient = headSum('softmaxAttention.slopes', ['rowSums'], 'dSlopes', 'rowSums[2u * row + 1u]')
export const sinkGradient = headSum(
  'softmaxAttention.sinks',
  ['statistics', 'sinkLogits'],
  'dSinkLogits',
  'exp(sinkLogits[h] - statistics[2u * row]) * statistics[2u * row + 1u]',
)
