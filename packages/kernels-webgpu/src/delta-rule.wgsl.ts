import { decayed } from './decayed.wgsl.js'
import { perForm } from './fits.js'

/** What the source of a shader depends on: widths, and which optional inputs there are. */
export interface DeltaForm {
  readonly K: number
  readonly V: number
  /** Tokens of a chunk. */
  readonly C: number
  /** Tokens between states that the walks along rows start from; divides C. */
  readonly F: number
  /** Whether there are rows a and b, diagonal plus low rank, or the beta of the delta rule. */
  readonly lowRank: boolean
  /** Log-decays of a token: none, one for all keys, or one a key. */
  readonly decays: 'none' | 'one' | 'keys'
  readonly resets: boolean
  /** Whether there is a state to start from. */
  readonly start: boolean
}

// x = a^T S, S <- diag(d) S + k v^T + b x^T, o = S^T q: all of a token's rows q, k, a, b, d lie together in `rows`. There
// q is scaled, and a and d are 0 at a reset, which empties the state. Columns of S do not need each other; its rows do,
// until x is known. An invocation walks the tokens of one chunk with one column, or with one row: there are no barriers.
// What a chunk makes of the state before it is `passed` times it, K x K numbers, and what it adds is `written`.

export const deltaSizes = ['B', 'T', 'H', 'chunks', 'scale'] as const

export const perDeltaForm = (make: Parameters<typeof perForm<DeltaForm>>[0]): ReturnType<typeof perForm<DeltaForm>> =>
  perForm(make, (form) => JSON.stringify(form))

const places = ({ K, V, C, F }: DeltaForm): string => `
const K = ${K}u;
const V = ${V}u;
const C = ${C}u;
const F = ${F}u;
fn token(b: u32, t: u32, h: u32) -> u32 { return (b * sizes.T + t) * sizes.H + h; }
fn stateAt(chunk: u32, head: u32, i: u32) -> u32 { return ((chunk * sizes.B * sizes.H + head) * K + i) * V; }
fn passedAt(chunk: u32, head: u32, i: u32) -> u32 { return ((chunk * sizes.B * sizes.H + head) * K + i) * K; }`

/** One invocation for each of `width` lanes of every chunk of `length` tokens. */
function placed(form: DeltaForm, lane: string, width: string, length: 'C' | 'F', body: string): string {
  return `${places(form)}
fn run(index: u32) {
  let ${lane} = index % (${width});
  let chunks = (sizes.T + ${length} - 1u) / ${length};
  let chunk = (index / (${width})) % chunks;
  let head = index / (${width}) / chunks;
  let h = head % sizes.H;
  let b = head / sizes.H;
  let begin = chunk * ${length};
  let end = min(begin + ${length}, sizes.T);
${body}
}`
}

export const byColumn = (form: DeltaForm, body: string): string => placed(form, 'column', 'V', 'C', body)
export const byRow = (form: DeltaForm, body: string): string => placed(form, 'i', 'K', 'F', body)

/** One invocation for each column of a state, over all chunks. */
export const acrossChunks = (form: DeltaForm, body: string): string => `${places(form)}
fn run(index: u32) {
  let column = index % V;
  let head = index / V;
${body}
}`

/** One token's change of a column of the state, from what is written there; names what it reads. */
const stepColumn = (written: string): string => `
    let at = token(b, t, h) * 5u * K;
    var reading = 0.0;
    for (var i = 0u; i < K; i++) { reading += rows[at + 2u * K + i] * S[i]; }
    for (var i = 0u; i < K; i++) {
      S[i] = rows[at + 4u * K + i] * S[i] + rows[at + K + i] * ${written} + rows[at + 3u * K + i] * reading;
    }`

/** Rows q, k, a, b and d of every token: an invocation for each key. */
export const packShader = perDeltaForm(({ K, lowRank, decays, resets }) => ({
  name: 'deltaRule.rows',
  sizes: deltaSizes,
  inputs: [
    ...['q', 'k', ...(lowRank ? ['a', 'b'] : ['beta'])],
    ...(decays === 'none' ? [] : ['logDecay']),
    ...(resets ? ['resets'] : []),
  ],
  outputs: ['rows'],
  body: `${decayed}
const K = ${K}u;
fn run(index: u32) {
  let place = index / K;
  let at = place * 5u * K + index % K;
  let key = k[index];
  let decay = ${decays === 'none' ? '1.0' : `decayed(max(logDecay[${decays === 'one' ? 'place' : 'index'}], -104.0))`};
  let open = ${resets ? 'select(1.0, 0.0, resets[place / sizes.H] > 0.5)' : '1.0'};
  rows[at] = bitcast<f32>(sizes.scale) * q[index];
  rows[at + K] = ${lowRank ? 'key' : 'beta[place] * key'};
  rows[at + 2u * K] = open * ${lowRank ? 'a[index]' : 'decay * key'};
  rows[at + 3u * K] = ${lowRank ? 'b[index]' : '-beta[place] * key'};
  rows[at + 4u * K] = open * decay;
}`,
}))

/** Outputs, each chunk from its own state. */
export const readShader = perDeltaForm((form) => ({
  name: 'deltaRule',
  sizes: deltaSizes,
  inputs: ['rows', 'v', ...(form.start ? ['start'] : [])],
  outputs: ['o', 'last'],
  body: byColumn(
    form,
    `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = ${form.start ? 'start[stateAt(chunk, head, i) + column]' : '0.0'}; }
  for (var t = begin; t < end; t++) {
    let value = v[token(b, t, h) * V + column];
    ${stepColumn('value')}
    var read = 0.0;
    for (var i = 0u; i < K; i++) { read += rows[at + i] * S[i]; }
    o[token(b, t, h) * V + column] = read;
  }
  if (end == sizes.T) {
    for (var i = 0u; i < K; i++) { last[stateAt(0u, head, i) + column] = S[i]; }
  }`,
  ),
}))

/** What a chunk adds to the state by its end, and its transition: that of a state of ones on the diagonal. */
export const writeShader = perDeltaForm((form) => ({
  name: 'deltaRule.write',
  sizes: deltaSizes,
  inputs: ['rows', 'v'],
  outputs: ['written', 'passed'],
  body: placed(
    form,
    'lane',
    'V + K',
    'C',
    `  let column = min(lane, V - 1u);
  let adds = lane < V;
  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = select(0.0, 1.0, lane == V + i); }
  for (var t = begin; t < end; t++) {
    let value = select(0.0, v[token(b, t, h) * V + column], adds);
    ${stepColumn('value')}
  }
  if (adds) {
    for (var i = 0u; i < K; i++) { written[stateAt(chunk, head, i) + column] = S[i]; }
  } else {
    for (var i = 0u; i < K; i++) { passed[passedAt(chunk, head, i) + lane - V] = S[i]; }
  }`,
  ),
}))

/** States at the start of every chunk from what each writes and passes on. */
export const stateShader = perDeltaForm((form) => ({
  name: 'deltaRule.states',
  sizes: deltaSizes,
  inputs: ['written', 'passed', ...(form.start ? ['start'] : [])],
  outputs: ['states'],
  body: acrossChunks(
    form,
    `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = ${form.start ? 'start[stateAt(0u, head, i) + column]' : '0.0'}; }
  for (var chunk = 0u; chunk < sizes.chunks; chunk++) {
    var next: array<f32, K>;
    for (var i = 0u; i < K; i++) {
      let at = stateAt(chunk, head, i) + column;
      states[at] = S[i];
      var sum = written[at];
      let base = passedAt(chunk, head, i);
      for (var n = 0u; n < K; n++) { sum += passed[base + n] * S[n]; }
      next[i] = sum;
    }
    S = next;
  }`,
  ),
}))

/** Values of every token with what it reads of the state beside them, and states at the starts of shorter chunks. */
export const readingShader = perDeltaForm((form) => ({
  name: 'deltaRule.readings',
  sizes: deltaSizes,
  inputs: ['rows', 'v', 'states'],
  outputs: ['values', 'borders'],
  body: byColumn(
    form,
    `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = states[stateAt(chunk, head, i) + column]; }
  for (var t = begin; t < end; t++) {
    if (t % F == 0u) {
      for (var i = 0u; i < K; i++) { borders[stateAt(t / F, head, i) + column] = S[i]; }
    }
    let value = v[token(b, t, h) * V + column];
    ${stepColumn('value')}
    values[token(b, t, h) * 2u * V + column] = value;
    values[token(b, t, h) * 2u * V + V + column] = reading;
  }`,
  ),
}))
