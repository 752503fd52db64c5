import type { Shader } from './run.js'

// One invocation a query (or, for the gradients of keys and values, a key): its vectors are in registers, and a
// workgroup of 64 loads what all of them look at, tile by tile, into its memory. Gates are summed up as an invocation
// walks away from its own position, so that no long sums are ever subtracted.

/** What a shader is put together for: widths of a head, and which optional inputs there are. */
export interface Form {
  readonly K: number
  readonly V: number
  /** One for each head of each row, not shared. */
  readonly bias: boolean
  readonly slopes: boolean
  readonly logForget: boolean
  readonly sinkLogits: boolean
  readonly keyMask: boolean
  readonly documents: boolean
}

export const groupSize = 64
/** Floats of workgroup memory for a tile, of the 4,096 that every device has. */
const TILE_FLOATS = 3072

/** Numbers that every pass over pairs needs. */
export const sizes = ['B', 'T', 'S', 'H', 'G', 'causal', 'window', 'sinks', 'scale', 'softCap']

/** Keys (or queries) of a tile: as many as fit, up to 32. */
export const tileSize = ({ K, V }: Form): number => Math.max(1, Math.min(32, Math.floor(TILE_FLOATS / (K + V))))

export const scoreInputs = (form: Form): string[] => [
  ...(form.bias ? ['bias'] : []),
  ...(form.slopes ? ['slopes'] : []),
  ...(form.logForget ? ['logForget'] : []),
  ...(form.keyMask ? ['keyMask'] : []),
  ...(form.documents ? ['queryDocuments', 'keyDocuments'] : []),
]

export const when = (condition: boolean, ...lines: string[]): string => (condition ? lines.join('\n') : '')

export const common = (form: Form): string => `
const K = ${form.K}u;
const V = ${form.V}u;
const TILE = ${tileSize(form)}u;
const MASKED = -1e30;
const EMPTY = -5e29;
var<workgroup> tileK: array<f32, ${tileSize(form) * form.K}>;
var<workgroup> tileV: array<f32, ${tileSize(form) * form.V}>;

fn position(i: u32) -> i32 { return i32(sizes.S) - i32(sizes.T) + i32(i); }

fn hidden(b: u32, i: u32, j: u32) -> bool {
  if (i >= sizes.T || j >= sizes.S) { return true; }
  let apart = position(i) - i32(j);
  if (sizes.causal == 1u && apart < 0) { return true; }
  if (sizes.window > 0u && u32(abs(apart)) >= sizes.window && j >= sizes.sinks) { return true; }
${when(form.keyMask, '  if (keyMask[b * sizes.S + j] == 0.0) { return true; }')}
${when(form.documents, '  if (queryDocuments[b * sizes.T + i] != keyDocuments[b * sizes.S + j]) { return true; }')}
  return false;
}

fn capped(product: f32) -> f32 {
  let x = product * bitcast<f32>(sizes.scale);
  let cap = bitcast<f32>(sizes.softCap);
  // beyond 15 the hyperbolic tangent is 1, and some drivers overflow
  if (cap > 0.0) { return cap * tanh(clamp(x / cap, -15.0, 15.0)); }
  return x;
}

/** By how much the cap flattens the score there. */
fn slopeOf(x: f32) -> f32 {
  let cap = bitcast<f32>(sizes.softCap);
  if (cap > 0.0) { return 1.0 - (x / cap) * (x / cap); }
  return 1.0;
}

fn biasOf(b: u32, h: u32, i: u32, j: u32, gates: f32) -> f32 {
  return gates${when(form.bias, ' + bias[((b * sizes.H + h) * sizes.T + i) * sizes.S + j]')}${when(form.slopes, ' - slopes[h] * f32(abs(position(i) - i32(j)))')};
}

fn gateOf(b: u32, h: u32, j: u32) -> f32 {
  return ${form.logForget ? 'logForget[(b * sizes.S + j) * sizes.H + h]' : '0.0'};
}

fn exponential(x: f32) -> f32 { return select(0.0, exp(x), x > -87.0); }

fn vectorQ(b: u32, i: u32, h: u32) -> u32 { return (b * sizes.T + i) * sizes.H + h; }
fn vectorK(b: u32, j: u32, h: u32) -> u32 { return (b * sizes.S + j) * sizes.G + h / (sizes.H / sizes.G); }

/** Whether some query of [first, last] may see some key of [begin, end), as far as positions say. */
fn inSight(first: u32, last: u32, begin: u32, end: u32) -> bool {
  if (sizes.causal == 1u && position(last) < i32(begin)) { return false; }
  if (sizes.window == 0u || begin < sizes.sinks) { return true; }
  return position(first) - i32(end - 1u) < i32(sizes.window) && i32(begin) - position(last) < i32(sizes.window);
}`

/** Loads a tile of keys and values; those beyond the last are zeros. */
export const loadKeys = `
fn loadKeys(b: u32, h: u32, begin: u32, lane: u32) {
  for (var n = lane; n < TILE * K; n += ${groupSize}u) {
    let j = begin + n / K;
    tileK[n] = 0.0;
    if (j < sizes.S) { tileK[n] = k[vectorK(b, j, h) * K + n % K]; }
  }
  for (var n = lane; n < TILE * V; n += ${groupSize}u) {
    let j = begin + n / V;
    tileV[n] = 0.0;
    if (j < sizes.S) { tileV[n] = v[vectorK(b, j, h) * V + n % V]; }
  }
}`

/** What an invocation of a query does before the walk, with each key, after each tile, and where one is out of sight. */
interface Steps {
  readonly start: string
  readonly perKey: string
  readonly perTile?: string
  readonly skipped?: string
}

/** Where an invocation of a query stands, and the walk over tiles of keys, from the last that it may see to the first. */
export const queryWalk = (form: Form, { start, perKey, perTile = '', skipped = '' }: Steps): string => `
  let tiles = (sizes.T + ${groupSize - 1}u) / ${groupSize}u;
  let h = (group / tiles) % sizes.H;
  let b = group / tiles / sizes.H;
  let first = (group % tiles) * ${groupSize}u;
  let last = min(first + ${groupSize - 1}u, sizes.T - 1u);
  let i = first + lane;
  let row = (b * sizes.H + h) * sizes.T + i;
  let own = vectorQ(b, min(i, sizes.T - 1u), h);
  var query: array<f32, K>;
  for (var c = 0u; c < K; c++) { query[c] = q[own * K + c]; }
  var gates = 0.0;
${start}
  for (var t = (sizes.S + TILE - 1u) / TILE; t > 0u; t--) {
    let begin = (t - 1u) * TILE;
    if (!inSight(first, last, begin, min(begin + TILE, sizes.S))) {
${when(
  form.logForget,
  '      for (var n = TILE; n > 0u; n--) {',
  '        let j = begin + n - 1u;',
  '        if (j < sizes.S && i32(j) <= position(i)) { gates += gateOf(b, h, j); }',
  '      }',
)}
${skipped}
      continue;
    }
    workgroupBarrier();
    loadKeys(b, h, begin, lane);
    workgroupBarrier();
    for (var n = TILE; n > 0u; n--) {
      let at = n - 1u;
      let j = begin + at;
      var product = 0.0;
      for (var c = 0u; c < K; c++) { product += query[c] * tileK[at * K + c]; }
      let x = capped(product);
      let score = select(x + biasOf(b, h, i, j, gates), MASKED, hidden(b, i, j));
      if (j < sizes.S && i32(j) <= position(i)) { gates += gateOf(b, h, j); }
${perKey}
    }
${perTile}
  }`

/** The online softmax. */
export const forward = (form: Form): Shader => ({
  name: 'softmaxAttention',
  groupSize,
  sizes,
  inputs: ['q', 'k', 'v', ...scoreInputs(form), ...(form.sinkLogits ? ['sinkLogits'] : [])],
  outputs: ['o', 'lse'],
  body: `${common(form)}
${loadKeys}
fn run(group: u32, lane: u32) {${queryWalk(form, {
    start: `  var weighted: array<f32, V>;
  var scores: array<f32, TILE>;
  var top = ${form.sinkLogits ? 'sinkLogits[h]' : 'EMPTY'};
  var higher = top;
  var total = ${form.sinkLogits ? '1.0' : '0.0'};`,
    perKey: `      scores[at] = score;
      higher = max(higher, score);`,
    perTile: `    let kept = exponential(top - higher);
    top = higher;
    total *= kept;
    for (var c = 0u; c < V; c++) { weighted[c] *= kept; }
    for (var n = 0u; n < TILE; n++) {
      let weight = exponential(scores[n] - top);
      total += weight;
      for (var c = 0u; c < V; c++) { weighted[c] += weight * tileV[n * V + c]; }
    }`,
  })}
  if (i >= sizes.T) { return; }
  let seen = top > EMPTY;
  for (var c = 0u; c < V; c++) { o[own * V + c] = select(0.0, weighted[c] / total, seen); }
  lse[row] = select(EMPTY, top + log(total), seen);
}`,
})
