import {
  byColumn,
  byRow,
  type GatedForm,
  gatedSizes,
  gatedSource,
  inputsOf,
  perGatedForm,
} from './gated-linear-attention.wgsl.js'

const { decayLoop, decayOf, forget } = gatedSource

/** Back over the tokens of the chunk; an unsigned t below 0 is beyond the end. */
const backwards = 'for (var t = end - 1u; t >= begin && t < end; t--)'

/** `write` the other way: what a chunk adds to the cotangent of the state before it. */
export const writeBackShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.writeBack',
  sizes: gatedSizes,
  inputs: ['q', 'dO', ...inputsOf(form, 'logDecay', 'resets')],
  outputs: ['written'],
  body: byColumn(
    form,
    `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = 0.0; }
  ${backwards} {
    let at = keyAt(b, t, h);
    let g = scale * dO[token(b, t, h) * V + column];
    ${decayLoop(form).before}
    for (var i = 0u; i < K; i++) { D[i] = ${carried(form, decayLoop(form).inside, 'D[i]', 'q[at + i] * g')}; }
    ${forget(form, 'D', 'K')}
  }
  for (var i = 0u; i < K; i++) { written[stateAt(chunk, head, i) + column] = D[i]; }`,
  ),
}))

/** The cotangent before a token, from that after it: with a bonus the token was read before its decay. */
function carried({ bonus }: GatedForm, decay: string, after: string, read: string): string {
  return bonus ? `${decay} * ${after} + ${read}` : `${decay} * (${after} + ${read})`
}

/** Cotangents of the state at the end of every chunk, and of the first state. */
export const stateBackShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.statesBack',
  sizes: gatedSizes,
  inputs: ['written', 'kept', 'dLast'],
  outputs: ['dStates', 'dState'],
  body: `
fn run(index: u32) {
  var state = dLast[index];
  for (var chunk = sizes.chunks; chunk > 0u; chunk--) {
    let at = (chunk - 1u) * sizes.invocations + index;
    dStates[at] = state;
    state = kept[at / ${form.V}u] * state + written[at];
  }
  dState[index] = state;
}`,
}))

export const valueGradientShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.dv',
  sizes: gatedSizes,
  inputs: ['q', 'k', 'dO', 'dStates', ...inputsOf(form, 'logDecay', 'bonus', 'resets')],
  outputs: ['dv'],
  body: byColumn(
    form,
    `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = dStates[stateAt(chunk, head, i) + column]; }
  ${backwards} {
    let at = keyAt(b, t, h);
    let g = scale * dO[token(b, t, h) * V + column];
    ${decayLoop(form).before}
    var sum = 0.0;
    for (var i = 0u; i < K; i++) {
      let read = q[at + i] * g;
      sum += k[at + i] * (D[i] + ${form.bonus ? 'bonus[h * K + i] * read' : 'read'});
      D[i] = ${carried(form, decayLoop(form).inside, 'D[i]', 'read')};
    }
    dv[token(b, t, h) * V + column] = sum;
    ${forget(form, 'D', 'K')}
  }`,
  ),
}))

export const queryGradientShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.dq',
  sizes: gatedSizes,
  inputs: ['k', 'v', 'dO', 'states', ...inputsOf(form, 'logDecay', 'bonus', 'resets')],
  outputs: ['dq'],
  body: byRow(
    form,
    `  var S: array<f32, V>;
  for (var j = 0u; j < V; j++) { S[j] = states[stateAt(chunk, head, i) + j]; }
  for (var t = begin; t < end; t++) {
    ${forget(form, 'S', 'V')}
    let at = token(b, t, h) * V;
    let key = k[keyAt(b, t, h) + i];
    let decay = ${decayOf(form, 'i')};
    var read = 0.0;
    var own = 0.0;
    for (var j = 0u; j < V; j++) {
      let x = v[at + j];
      let g = dO[at + j];
      read += S[j] * g;
      own += x * g;
      S[j] = decay * S[j] + key * x;
    }
    let sum = ${form.bonus ? 'read + own * bonus[h * K + i] * key' : 'decay * read + own * key'};
    dq[token(b, t, h) * K + i] = scale * sum;
  }`,
  ),
}))

export const keyGradientShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.dk',
  sizes: gatedSizes,
  inputs: ['q', 'v', 'dO', 'dStates', ...inputsOf(form, 'logDecay', 'bonus', 'resets')],
  outputs: ['dk'],
  body: byRow(
    form,
    `  var D: array<f32, V>;
  for (var j = 0u; j < V; j++) { D[j] = dStates[stateAt(chunk, head, i) + j]; }
  ${backwards} {
    let at = token(b, t, h) * V;
    let query = scale * q[keyAt(b, t, h) + i];
    let decay = ${decayOf(form, 'i')};
    var sum = 0.0;
    for (var j = 0u; j < V; j++) {
      let read = query * dO[at + j];
      sum += (D[j] + ${form.bonus ? 'bonus[h * K + i] * read' : 'read'}) * v[at + j];
      D[j] = ${carried(form, 'decay', 'D[j]', 'read')};
    }
    dk[token(b, t, h) * K + i] = sum;
    ${forget(form, 'D', 'V')}
  }`,
  ),
}))

/** Gradients by the log-decay, of every channel: the states of the chunk are made again and held. */
export const decayGradientShader = perGatedForm((form) => ({
  name: 'gatedLinearAttention.dLogDecay',
  sizes: gatedSizes,
  inputs: ['q', 'k', 'v', 'dO', 'states', 'dStates', ...inputsOf(form, 'logDecay', 'resets')],
  outputs: ['dLogDecay'],
  body: byRow(
    form,
    `  var S: array<f32, V>;
  var held: array<f32, C * V>;
  for (var j = 0u; j < V; j++) { S[j] = states[stateAt(chunk, head, i) + j]; }
  for (var t = begin; t < end; t++) {
    ${forget(form, 'S', 'V')}
    let at = token(b, t, h) * V;
    let key = k[keyAt(b, t, h) + i];
    let decay = ${decayOf(form, 'i')};
    for (var j = 0u; j < V; j++) {
      held[(t - begin) * V + j] = S[j];
      S[j] = decay * S[j] + key * v[at + j];
    }
  }
  var D: array<f32, V>;
  for (var j = 0u; j < V; j++) { D[j] = dStates[stateAt(chunk, head, i) + j]; }
  ${backwards} {
    let at = token(b, t, h) * V;
    let query = scale * q[keyAt(b, t, h) + i];
    let decay = ${decayOf(form, 'i')};
    var sum = 0.0;
    for (var j = 0u; j < V; j++) {
      let read = query * dO[at + j];
      sum += ${form.bonus ? 'D[j]' : '(D[j] + read)'} * held[(t - begin) * V + j];
      D[j] = ${carried(form, 'decay', 'D[j]', 'read')};
    }
    dLogDecay[token(b, t, h) * K + i] = decay * sum;
    ${forget(form, 'D', 'V')}
  }`,
  ),
}))
