import type { Cell } from './cells.wgsl.js'
import { pack as packed } from './pack.wgsl.js'
import type { Shader } from './run.js'

// A recurrence whose cells see the whole last output, of their head where there are several: [H, K] units, weight
// [H, G, K] with a row for each gate of each unit. A workgroup walks one head of one row of the batch through time.

export interface Form {
  readonly cell: Cell
  readonly H: number
  readonly K: number
  /** Names of the inputs that are there. */
  readonly present: readonly string[]
}

/** Floats of workgroup memory in 16 KB. */
export const MOST_FLOATS = 4096

/** Invocations of a workgroup: the fewest of 64, 128 and 256 that are one for each gate of each unit, 256 where none are enough. */
export function groupSizeOf({ cell, K }: Form): number {
  return [64, 128].find((size) => size >= cell.gates * K) ?? 256
}

/** Sums of one unit that go on at the same time on the way back, where units alone do not fill the workgroup. */
export const partsOf = (form: Form): number => Math.max(1, Math.floor(groupSizeOf(form) / form.K))

/** Floats of workgroup memory, of the larger of both passes. */
export const floatsOf = (form: Form): number => (form.cell.states.length + form.cell.gates + partsOf(form)) * form.K

export const planesOf = ({ gates, apart }: Cell): number => gates + (apart ? 1 : 0)
export const sizesOf = ({ attrs }: Cell): string[] => ['B', 'T', ...attrs]
const starts = (cell: Cell): string[] => cell.states.map((state) => `${state}0`)
const each = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n')

/** What is small, in one buffer: bias, the state that came in, and flags of every token. */
export function pack({ cell, H, K, present }: Form): Shader {
  const pieces = [
    { name: 'bias', count: `${cell.gates * H * K}u` },
    ...starts(cell).map((name) => ({ name, count: `(sizes.B * ${H * K}u)` })),
    { name: 'resets', count: '(sizes.B * sizes.T)' },
    { name: 'mask', count: '(sizes.B * sizes.T)', otherwise: 1 },
  ]
  return packed('tokenLoop.pack', 'small', sizesOf(cell), pieces, present)
}

export const shared = ({ cell, H, K }: Form): string => `
const K = ${K}u;
const H = ${H}u;
const E = ${H * K}u;
const G = ${cell.gates * K}u;
const P = ${cell.gates * H * K}u;
alias State = array<f32, ${cell.states.length}>;
alias Gates = array<f32, ${cell.gates}>;
alias Pre = array<f32, ${planesOf(cell)}>;
struct Back { before: State, given: Gates, product: Gates }
fn incoming(part: u32, b: u32, unit: u32) -> f32 { return small[P + (part * sizes.B + b) * E + unit]; }
fn flag(i: u32) -> bool { return small[P + ${cell.states.length}u * sizes.B * E + i] > 0.5; }
fn empties(b: u32, t: u32) -> bool { return flag(b * sizes.T + t); }
fn counts(b: u32, t: u32) -> bool { return flag((sizes.B + b) * sizes.T + t); }`

/** Neighbouring gates beside each other, as neighbouring invocations read them: `[H, K, G]`. */
export const transpose = (form: Form): Shader => ({
  name: 'tokenLoop.transpose',
  sizes: sizesOf(form.cell),
  inputs: ['weight'],
  outputs: ['columns'],
  body: `
fn run(i: u32) {
  let G = ${form.cell.gates * form.K}u;
  let g = i % G;
  let k = (i / G) % ${form.K}u;
  columns[i] = weight[((i / (G * ${form.K}u)) * G + g) * ${form.K}u + k];
}`,
})

export const forward = (form: Form): Shader => {
  const { cell, K } = form
  const S = cell.states.length
  const size = groupSizeOf(form)
  return {
    name: cell.name,
    groupSize: size,
    sizes: sizesOf(cell),
    inputs: ['small', 'projected', 'columns'],
    outputs: cell.states,
    body: `${shared(form)}
${cell.step}
var<workgroup> state: array<f32, ${S * K}>;
var<workgroup> products: array<f32, ${cell.gates * K}>;
fn run(group: u32, lane: u32) {
  let b = group / H;
  let head = group % H;
  for (var i = lane; i < K; i += ${size}u) {
    for (var s = 0u; s < ${S}u; s++) { state[s * K + i] = incoming(s, b, head * K + i); }
  }
  for (var t = 0u; t < sizes.T; t++) {
    if (empties(b, t)) {
      for (var i = lane; i < K; i += ${size}u) {
        for (var s = 0u; s < ${S}u; s++) { state[s * K + i] = 0.0; }
      }
    }
    workgroupBarrier();
    for (var g = lane; g < G; g += ${size}u) {
      var sum = 0.0;
      for (var k = 0u; k < K; k++) { sum += state[k] * columns[(head * K + k) * G + g]; }
      products[g] = sum + small[(g / K) * E + head * K + g % K];
    }
    workgroupBarrier();
    let token = b * sizes.T + t;
    for (var k = lane; k < K; k += ${size}u) {
      let unit = head * K + k;
      var now: State;
      for (var s = 0u; s < ${S}u; s++) { now[s] = state[s * K + k]; }
      if (counts(b, t)) {
        var pre: Pre;
${each(cell.gates, (i) => `        pre[${i}] = products[${i}u * K + k]${given(cell, i)};`)}
${cell.apart ? `        pre[${cell.gates}] = ${tokenGives(cell.gates - 1)};` : ''}
        now = step(pre, now);
      }
      for (var s = 0u; s < ${S}u; s++) { state[s * K + k] = now[s]; }
${each(S, (s) => `      ${cell.states[s]}[token * E + unit] = now[${s}];`)}
    }
  }
}`,
  }
}

const tokenGives = (gate: number): string => `projected[token * P + ${gate}u * E + unit]`
const given = ({ gates, apart }: Cell, gate: number): string =>
  apart && gate === gates - 1 ? '' : ` + ${tokenGives(gate)}`

/** The state that every token finds, part by part. */
export const before = (form: Form): Shader => ({
  name: 'tokenLoop.before',
  sizes: sizesOf(form.cell),
  inputs: ['small', ...form.cell.states],
  outputs: ['found'],
  body: `${shared(form)}
fn run(i: u32) {
  let unit = i % E;
  let t = (i / E) % sizes.T;
  let b = i / (E * sizes.T);
  let part = sizes.B * sizes.T * E;
${each(
  form.cell.states.length,
  (s) => `  {
    var x = 0.0;
    if (!empties(b, t)) { if (t > 0u) { x = ${form.cell.states[s]}[i - E]; } else { x = incoming(${s}u, b, unit); } }
    found[${s}u * part + i] = x;
  }`,
)}
}`,
})

/** Tokens whose products with one row of the weight go on at the same time. */
export const tile = 4

/** What went into every gate: products over all tokens at once. */
export const gatesOf = (form: Form): Shader => ({
  name: 'tokenLoop.gates',
  sizes: sizesOf(form.cell),
  inputs: ['small', 'projected', 'columns', 'found'],
  outputs: ['gates'],
  body: `${shared(form)}
fn run(i: u32) {
  let g = i % G;
  let head = (i / G) % H;
  let first = (i / (G * H)) * ${tile}u;
  let tokens = min(${tile}u, sizes.B * sizes.T - first);
  var sums: array<f32, ${tile}>;
  for (var k = 0u; k < K; k++) {
    let w = columns[(head * K + k) * G + g];
    for (var j = 0u; j < tokens; j++) { sums[j] += found[(first + j) * E + head * K + k] * w; }
  }
  let part = g / K;
  let unit = head * K + g % K;
  for (var j = 0u; j < tokens; j++) {
    let token = first + j;
    let at = token * ${planesOf(form.cell)}u * E + unit;
    let x = projected[token * P + part * E + unit];
    let sum = sums[j] + small[part * E + unit];
${
  form.cell.apart
    ? `    if (part == ${form.cell.gates - 1}u) {
      gates[at + part * E] = sum;
      gates[at + ${form.cell.gates}u * E] = x;
      continue;
    }`
    : ''
}
    gates[at + part * E] = sum + x;
  }
}`,
})

/** Cotangents of all parts of the state in one buffer. */
export function stack({ cell }: Form): Shader {
  const pieces = cell.states.map((name) => ({ name: `d${name}`, count: 'sizes.all' }))
  const names = pieces.map(({ name }) => name)
  return packed('tokenLoop.stack', 'cotangents', ['all'], pieces, names)
}
