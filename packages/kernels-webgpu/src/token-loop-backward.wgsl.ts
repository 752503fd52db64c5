import type { Shader } from './run.js'
import { type Form, groupSizeOf, partsOf, planesOf, shared, sizesOf } from './token-loop.wgsl.js'

/** The walk back: cotangents of what went into the gates, and in `ends` those of the state that came in. */
export const reverse = (form: Form): Shader => {
  const { cell, K } = form
  const S = cell.states.length
  const Q = partsOf(form)
  const size = groupSizeOf(form)
  return {
    name: `${cell.name}.reverse`,
    groupSize: size,
    sizes: sizesOf(cell),
    inputs: ['small', 'gates', 'weight', 'found', 'cotangents'],
    outputs: ['dprojected', ...(cell.apart ? ['dproducts'] : []), 'ends'],
    body: `${shared(form)}
${cell.stepBack}
var<workgroup> carried: array<f32, ${S * K}>;
var<workgroup> steps: array<f32, ${cell.gates * K}>;
var<workgroup> sums: array<f32, ${Q * K}>;
fn run(group: u32, lane: u32) {
  let b = group / H;
  let head = group % H;
  let part = sizes.B * sizes.T * E;
  for (var i = lane; i < ${S}u * K; i += ${size}u) { carried[i] = 0.0; }
  workgroupBarrier();
  for (var t = sizes.T; t > 0u; t--) {
    let token = b * sizes.T + t - 1u;
    for (var k = lane; k < K; k += ${size}u) {
      let unit = head * K + k;
      // written out: some drivers clear a variable of a loop only once
      var back = Back();
      for (var s = 0u; s < ${S}u; s++) { back.before[s] = carried[s * K + k] + cotangents[s * part + token * E + unit]; }
      if (counts(b, t - 1u)) {
        var pre: Pre;
        var last: State;
        for (var p = 0u; p < ${planesOf(cell)}u; p++) { pre[p] = gates[(token * ${planesOf(cell)}u + p) * E + unit]; }
        for (var s = 0u; s < ${S}u; s++) { last[s] = found[s * part + token * E + unit]; }
        let d = back.before;
        back = stepBack(pre, last, d);
      }
      for (var s = 0u; s < ${S}u; s++) { carried[s * K + k] = back.before[s]; }
      for (var p = 0u; p < ${cell.gates}u; p++) {
        dprojected[token * P + p * E + unit] = back.given[p];
        ${cell.apart ? 'dproducts[token * P + p * E + unit] = back.product[p];' : ''}
        steps[p * K + k] = back.${cell.apart ? 'product' : 'given'}[p];
      }
    }
    workgroupBarrier();
    for (var i = lane; i < ${Q}u * K; i += ${size}u) {
      var sum = 0.0;
      for (var g = i / K; g < G; g += ${Q}u) { sum += steps[g] * weight[(head * G + g) * K + i % K]; }
      sums[i] = sum;
    }
    workgroupBarrier();
    for (var k = lane; k < K; k += ${size}u) {
      for (var q = 0u; q < ${Q}u; q++) { carried[k] += sums[q * K + k]; }
      if (empties(b, t - 1u)) {
        for (var s = 0u; s < ${S}u; s++) { carried[s * K + k] = 0.0; }
      }
    }
  }
  for (var k = lane; k < K; k += ${size}u) {
    for (var s = 0u; s < ${S}u; s++) { ends[(s * sizes.B + b) * E + head * K + k] = carried[s * K + k]; }
  }
}`,
  }
}

/** Gradients by weight and bias: one invocation a number, over all tokens. */
export const parameters = ({ cell, H, K, present }: Form): Shader => {
  const products = cell.apart ? 'dproducts' : 'dprojected'
  const hasBias = present.includes('bias')
  return {
    name: 'tokenLoop.parameters',
    sizes: sizesOf(cell),
    inputs: [products, 'found'],
    outputs: ['dweight', ...(hasBias ? ['dbias'] : [])],
    body: `
const K = ${K}u;
const G = ${cell.gates * K}u;
const E = ${H * K}u;
const P = ${cell.gates * H * K}u;
fn run(i: u32) {
  var sum = 0.0;
  if (i >= P * K) {
    for (var n = 0u; n < sizes.B * sizes.T; n++) { sum += ${products}[n * P + i - P * K]; }
    ${hasBias ? 'dbias[i - P * K] = sum;' : ''}
    return;
  }
  let g = (i / K) % G;
  let head = i / (K * G);
  let row = (g / K) * E + head * K + g % K;
  for (var n = 0u; n < sizes.B * sizes.T; n++) { sum += ${products}[n * P + row] * found[n * E + head * K + i % K]; }
  dweight[i] = sum;
}`,
  }
}

/** The cotangents of the state that came in, part by part, for those parts that did. */
export const startsOf = ({ cell, present }: Form): Shader => {
  const there = cell.states.flatMap((state, s) => (present.includes(`${state}0`) ? [{ name: `d${state}0`, s }] : []))
  return {
    name: 'tokenLoop.starts',
    sizes: ['all'],
    inputs: ['ends'],
    outputs: there.map(({ name }) => name),
    body: `fn run(i: u32) {\n${there.map(({ name, s }) => `  ${name}[i] = ends[${s}u * sizes.all + i];`).join('\n')}\n}`,
  }
}
