import { decayed } from './decayed.wgsl.js'
import { perForm } from './fits.js'

/** What the source of a shader depends on: widths, and which optional inputs there are. */
export interface GatedForm {
  readonly K: number
  readonly V: number
  /** Tokens of a chunk. */
  readonly C: number
  /** Log-decays of a token: none, one for all keys, or one a key. */
  readonly decays: 'none' | 'one' | 'keys'
  readonly bonus: boolean
  readonly resets: boolean
  /** Whether there is a state to start from. */
  readonly start: boolean
}

// An invocation walks the tokens of one chunk with one column of the state (K numbers), or with one row of it (V): no
// column and no row needs another, so there are no barriers, and neighbours read and write neighbouring numbers. States
// at the starts of chunks lie as [chunk, B, H, K, V], so that those of a single chunk are a state as it is.

export const gatedSizes = ['B', 'T', 'G', 'H', 'B1', 'T1', 'K1', 'chunks', 'scale'] as const

/** The optional inputs among these that the form has. */
export const inputsOf = (form: GatedForm, ...names: ('logDecay' | 'bonus' | 'resets')[]): string[] =>
  names.filter((name) => (name === 'logDecay' ? form.decays !== 'none' : form[name]))

const functions = ({ K, V, C, decays }: GatedForm): string => `
const K = ${K}u;
const V = ${V}u;
const C = ${C}u;
fn token(b: u32, t: u32, h: u32) -> u32 { return (b * sizes.T + t) * sizes.H + h; }
fn keyAt(b: u32, t: u32, h: u32) -> u32 { return ((b * sizes.T + t) * sizes.G + h / (sizes.H / sizes.G)) * K; }
fn stateAt(chunk: u32, head: u32, i: u32) -> u32 { return ((chunk * sizes.B * sizes.H + head) * K + i) * V; }
fn logDecayAt(b: u32, t: u32, h: u32, i: u32) -> f32 {
  ${
    decays === 'none'
      ? 'return 0.0;'
      : `let place = (select(b, 0u, sizes.B1 == 1u) * sizes.T1 + select(t, 0u, sizes.T1 == 1u)) * sizes.H + h;
  return max(logDecay[place * sizes.K1 + i], -104.0);`
  }
}
${decayed}`

/** The decay of one row of the state. */
const decayOf = ({ decays }: GatedForm, i: string): string =>
  decays === 'none' ? '1.0' : `decayed(logDecayAt(b, t, h, ${decays === 'keys' ? i : '0u'}))`

/** Decays in a loop over keys i: taken before it where they are all one. */
const decayLoop = (form: GatedForm): { before: string; inside: string } =>
  form.decays === 'keys'
    ? { before: '', inside: decayOf(form, 'i') }
    : { before: `let decay = ${decayOf(form, '0u')};`, inside: 'decay' }

/** Empties an array at a reset. */
const forget = ({ resets }: GatedForm, array: string, size: string): string =>
  resets ? `if (resets[b * sizes.T + t] > 0.5) { for (var n = 0u; n < ${size}; n++) { ${array}[n] = 0.0; } }` : ''

/** Names of the place that an invocation has: `lane` is the name of its column or its row. */
const placed = (form: GatedForm, lane: 'column' | 'i', width: 'V' | 'K', body: string): string => `${functions(form)}
fn run(index: u32) {
  let ${lane} = index % ${width};
  let chunk = (index / ${width}) % sizes.chunks;
  let head = index / ${width} / sizes.chunks;
  let h = head % sizes.H;
  let b = head / sizes.H;
  let scale = bitcast<f32>(sizes.scale);
  let begin = chunk * C;
  let end = min(begin + C, sizes.T);
${body}
}`

export const byColumn = (form: GatedForm, body: string): string => placed(form, 'column', 'V', body)
export const byRow = (form: GatedForm, body: string): string => placed(form, 'i', 'K', body)
export const gatedSource = { decayOf, decayLoop, forget }

const keyOf = (form: GatedForm): string => JSON.stringify(form)
export const perGatedForm = (make: Parameters<typeof perForm<GatedForm>>[0]): ReturnType<typeof perForm<GatedForm>> =>
  perForm(make, keyOf)

/** Outputs, each chunk from its own state. */
export const readShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention',
  sizes: gatedSizes,
  inputs: ['q', 'k', 'v', ...inputsOf(form, 'logDecay', 'bonus', 'resets'), ...(form.start ? ['start'] : [])],
  outputs: ['o', 'last'],
  body: byColumn(
    form,
    `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = ${form.start ? 'start[stateAt(chunk, head, i) + column]' : '0.0'}; }
  for (var t = begin; t < end; t++) {
    ${forget(form, 'S', 'K')}
    let at = keyAt(b, t, h);
    let x = v[token(b, t, h) * V + column];
    ${decayLoop(form).before}
    var read = 0.0;
    for (var i = 0u; i < K; i++) {
      let added = k[at + i] * x;
      let before = S[i];
      S[i] = ${decayLoop(form).inside} * before + added;
      read += q[at + i] * ${form.bonus ? '(before + bonus[h * K + i] * added)' : 'S[i]'};
    }
    o[token(b, t, h) * V + column] = scale * read;
  }
  if (end == sizes.T) {
    for (var i = 0u; i < K; i++) { last[stateAt(0u, head, i) + column] = S[i]; }
  }`,
  ),
}))

/** What a chunk adds to the state by its end, and what it leaves of the state before it. */
export const writeShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.write',
  sizes: gatedSizes,
  inputs: ['k', 'v', ...inputsOf(form, 'logDecay', 'resets')],
  outputs: ['written', 'kept'],
  body: byColumn(
    form,
    `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = 0.0; }
  for (var t = begin; t < end; t++) {
    ${forget(form, 'S', 'K')}
    let at = keyAt(b, t, h);
    let x = v[token(b, t, h) * V + column];
    ${decayLoop(form).before}
    for (var i = 0u; i < K; i++) { S[i] = ${decayLoop(form).inside} * S[i] + k[at + i] * x; }
  }
  for (var i = 0u; i < K; i++) { written[stateAt(chunk, head, i) + column] = S[i]; }
  for (var i = column; i < K; i += V) {
    var sum = 0.0;
    for (var t = begin; t < end; t++) {
      sum += logDecayAt(b, t, h, ${form.decays === 'keys' ? 'i' : '0u'});
      ${form.resets ? 'if (resets[b * sizes.T + t] > 0.5) { sum = -10000.0; }' : ''}
    }
    kept[stateAt(chunk, head, i) / V] = decayed(max(sum, -104.0));
  }`,
  ),
}))

/** States at the start of every chunk from what each writes: an invocation for each number of a state. */
export const stateShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.states',
  sizes: gatedSizes,
  inputs: ['written', 'kept', ...(form.start ? ['start'] : [])],
  outputs: ['states'],
  body: `
fn run(index: u32) {
  var state = ${form.start ? 'start[index]' : '0.0'};
  for (var chunk = 0u; chunk < sizes.chunks; chunk++) {
    let at = chunk * sizes.invocations + index;
    states[at] = state;
    state = kept[at / ${form.V}u] * state + written[at];
  }
}`,
}))
