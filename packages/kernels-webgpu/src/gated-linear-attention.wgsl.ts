import { perForm } from './fits.js'

/** What the source of a shader depends on: widths, and which optional inputs there are. */
export interface GatedForm {
  readonly K: number
  readonly V: number
  readonly logDecay: boolean
  readonly bonus: boolean
  readonly resets: boolean
  readonly state: boolean
}

// An invocation walks all tokens with one column of the state, or one row of it: neither needs any other, so there are
// no barriers, and neighbours read and write neighbouring numbers.

/** Tokens whose rows of the state an invocation holds at once while it walks back. */
export const rowsHeld = (V: number): number => (V <= 64 ? 16 : V <= 128 ? 8 : 4)

export const gatedSizes = ['B', 'T', 'G', 'H', 'B1', 'T1', 'K1', 'scale'] as const

const sizesOf = ({ K, V, logDecay }: GatedForm): string => `
const K = ${K}u;
const V = ${V}u;
const C = ${rowsHeld(V)}u;
fn token(b: u32, t: u32, h: u32) -> u32 { return (b * sizes.T + t) * sizes.H + h; }
fn keyAt(b: u32, t: u32, h: u32) -> u32 { return ((b * sizes.T + t) * sizes.G + h / (sizes.H / sizes.G)) * K; }
fn decayAt(b: u32, t: u32, h: u32, i: u32) -> f32 {
  ${
    logDecay
      ? `let token = select(b, 0u, sizes.B1 == 1u) * sizes.T1 + select(t, 0u, sizes.T1 == 1u);
  return exp(max(logDecay[(token * sizes.H + h) * sizes.K1 + select(i, 0u, sizes.K1 == 1u)], -104.0));`
      : 'return 1.0;'
  }
}`

const optional = (form: GatedForm, ...names: ('logDecay' | 'bonus' | 'resets' | 'state')[]): string[] =>
  names.filter((name) => form[name])

/** Empties an array at a reset. */
const forget = ({ resets }: GatedForm, array: string, size: string): string =>
  resets ? `if (resets[b * sizes.T + t] > 0.5) { for (var i = 0u; i < ${size}; i++) { ${array}[i] = 0.0; } }` : ''

/** An invocation for each column of each head's state: `S` or its cotangent, K numbers. */
const byColumn = (form: GatedForm, body: string): string => `${sizesOf(form)}
fn run(index: u32) {
  let column = index % V;
  let head = index / V;
  let h = head % sizes.H;
  let b = head / sizes.H;
  let scale = bitcast<f32>(sizes.scale);
${body}
}`

/** An invocation for each row. */
const byRow = (form: GatedForm, body: string): string => `${sizesOf(form)}
fn run(row: u32) {
  let i = row % K;
  let h = (row / K) % sizes.H;
  let b = row / K / sizes.H;
  let scale = bitcast<f32>(sizes.scale);
${body}
}`

const keyOf = (form: GatedForm): string => JSON.stringify(form)

export const forwardShader = perForm<GatedForm>(
  (form) => ({
    name: 'gatedLinearAttention',
    sizes: gatedSizes,
    inputs: ['q', 'k', 'v', ...optional(form, 'logDecay', 'bonus', 'resets', 'state')],
    outputs: ['o', 'last'],
    body: byColumn(
      form,
      `  var S: array<f32, K>;
  for (var i = 0u; i < K; i++) { S[i] = ${form.state ? 'state[(head * K + i) * V + column]' : '0.0'}; }
  for (var t = 0u; t < sizes.T; t++) {
    ${forget(form, 'S', 'K')}
    let at = keyAt(b, t, h);
    let x = v[token(b, t, h) * V + column];
    var read = 0.0;
    for (var i = 0u; i < K; i++) {
      let added = k[at + i] * x;
      let before = S[i];
      S[i] = decayAt(b, t, h, i) * before + added;
      read += q[at + i] * ${form.bonus ? '(before + bonus[h * K + i] * added)' : 'S[i]'};
    }
    o[token(b, t, h) * V + column] = scale * read;
  }
  for (var i = 0u; i < K; i++) { last[(head * K + i) * V + column] = S[i]; }`,
    ),
  }),
  keyOf,
)

/** Back over the tokens with columns of the cotangent of the state: gradients by v and by the first state. */
export const valueGradientShader = perForm<GatedForm>(
  (form) => ({
    name: 'gatedLinearAttention.dv',
    sizes: gatedSizes,
    inputs: ['q', 'k', 'dO', 'dLast', ...optional(form, 'logDecay', 'bonus', 'resets')],
    outputs: ['dv', ...(form.state ? ['dState'] : [])],
    body: byColumn(
      form,
      `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = dLast[(head * K + i) * V + column]; }
  for (var t = sizes.T - 1u; t < sizes.T; t--) {
    let at = keyAt(b, t, h);
    let g = scale * dO[token(b, t, h) * V + column];
    var sum = 0.0;
    for (var i = 0u; i < K; i++) {
      let read = q[at + i] * g;
      ${
        form.bonus
          ? `sum += k[at + i] * (D[i] + bonus[h * K + i] * read);
      D[i] = decayAt(b, t, h, i) * D[i] + read;`
          : `sum += k[at + i] * (D[i] + read);
      D[i] = decayAt(b, t, h, i) * (D[i] + read);`
      }
    }
    dv[token(b, t, h) * V + column] = sum;
    ${forget(form, 'D', 'K')}
  }${form.state ? '\n  for (var i = 0u; i < K; i++) { dState[(head * K + i) * V + column] = D[i]; }' : ''}`,
    ),
  }),
  keyOf,
)

/** Over the tokens with rows of the state: gradients by q, and where there is a decay the state every C tokens. */
export const queryGradientShader = perForm<GatedForm>(
  (form) => ({
    name: 'gatedLinearAttention.dq',
    sizes: gatedSizes,
    inputs: ['k', 'v', 'dO', ...optional(form, 'logDecay', 'bonus', 'resets', 'state')],
    outputs: ['dq', ...(form.logDecay ? ['borders'] : [])],
    body: byRow(
      form,
      `  var S: array<f32, V>;
  for (var j = 0u; j < V; j++) { S[j] = ${form.state ? 'state[row * V + j]' : '0.0'}; }
  for (var t = 0u; t < sizes.T; t++) {
    ${
      form.logDecay
        ? `if (t % C == 0u) {
      for (var j = 0u; j < V; j++) { borders[((t / C) * V + j) * sizes.invocations + row] = S[j]; }
    }`
        : ''
    }
    ${forget(form, 'S', 'V')}
    let at = token(b, t, h) * V;
    let key = k[keyAt(b, t, h) + i];
    let decay = decayAt(b, t, h, i);
    var read = 0.0;
    var own = 0.0;
    for (var j = 0u; j < V; j++) {
      let x = v[at + j];
      let g = dO[at + j];
      read += S[j] * g;
      own += x * g;
      S[j] = decay * S[j] + key * x;
    }
    dq[token(b, t, h) * K + i] = scale * ${form.bonus ? '(read + own * bonus[h * K + i] * key)' : '(decay * read + own * key)'};
  }`,
    ),
  }),
  keyOf,
)

/** Back over the tokens with rows of the cotangent of the state: gradients by k. */
export const keyGradientShader = perForm<GatedForm>(
  (form) => ({
    name: 'gatedLinearAttention.dk',
    sizes: gatedSizes,
    inputs: ['q', 'v', 'dO', 'dLast', ...optional(form, 'logDecay', 'bonus', 'resets')],
    outputs: ['dk'],
    body: byRow(
      form,
      `  var D: array<f32, V>;
  for (var j = 0u; j < V; j++) { D[j] = dLast[row * V + j]; }
  for (var t = sizes.T - 1u; t < sizes.T; t--) {
    let at = token(b, t, h) * V;
    let query = scale * q[keyAt(b, t, h) + i];
    let decay = decayAt(b, t, h, i);
    var sum = 0.0;
    for (var j = 0u; j < V; j++) {
      let read = query * dO[at + j];
      ${
        form.bonus
          ? `sum += (D[j] + bonus[h * K + i] * read) * v[at + j];
      D[j] = decay * D[j] + read;`
          : `sum += (D[j] + read) * v[at + j];
      D[j] = decay * (D[j] + read);`
      }
    }
    dk[token(b, t, h) * K + i] = sum;
    ${forget(form, 'D', 'V')}
  }`,
    ),
  }),
  keyOf,
)

/** As for k, beside the states, which are made again C tokens at a time: gradients by the log-decay, for every channel. */
export const decayGradientShader = perForm<GatedForm>(
  (form) => ({
    name: 'gatedLinearAttention.dLogDecay',
    sizes: gatedSizes,
    inputs: ['q', 'k', 'v', 'logDecay', 'dO', 'dLast', 'borders', ...optional(form, 'resets')],
    outputs: ['dLogDecay'],
    body: byRow(
      form,
      `  var D: array<f32, V>;
  var S: array<f32, V>;
  var held: array<f32, C * V>;
  for (var j = 0u; j < V; j++) { D[j] = dLast[row * V + j]; }
  for (var n = (sizes.T - 1u) / C; n <= sizes.T; n--) {
    let until = min((n + 1u) * C, sizes.T);
    for (var j = 0u; j < V; j++) { S[j] = borders[(n * V + j) * sizes.invocations + row]; }
    for (var t = n * C; t < until; t++) {
      ${forget(form, 'S', 'V')}
      let at = token(b, t, h) * V;
      let key = k[keyAt(b, t, h) + i];
      let decay = decayAt(b, t, h, i);
      for (var j = 0u; j < V; j++) {
        held[(t - n * C) * V + j] = S[j];
        S[j] = decay * S[j] + key * v[at + j];
      }
    }
    for (var t = until - 1u; t >= n * C && t < until; t--) {
      let at = token(b, t, h) * V;
      let query = scale * q[keyAt(b, t, h) + i];
      let decay = decayAt(b, t, h, i);
      var kept = 0.0;
      for (var j = 0u; j < V; j++) {
        let read = query * dO[at + j];
        let before = held[(t - n * C) * V + j];
        ${
          form.bonus
            ? `kept += D[j] * before;
        D[j] = decay * D[j] + read;`
            : `kept += (D[j] + read) * before;
        D[j] = decay * (D[j] + read);`
        }
      }
      dLogDecay[token(b, t, h) * K + i] = decay * kept;
      ${forget(form, 'D', 'V')}
    }
  }`,
    ),
  }),
  keyOf,
)
