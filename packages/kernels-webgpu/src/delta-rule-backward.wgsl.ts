import { acrossChunks, byColumn, byRow, type DeltaForm, deltaSizes, perDeltaForm } from './delta-rule.wgsl.js'

// D is the cotangent of the state after a token: q g^T is added for its own reading, v gets D^T k and x gets D^T b, and
// the state before it diag(d) D + a dx^T.

/** Back over the tokens of the chunk; an unsigned t below 0 is beyond the end. */
const backwards = 'for (var t = end - 1u; t >= begin && t < end; t--)'

/** One token's change of a column of D; names the cotangent of what it read of the state. */
const stepColumn = `
    let at = token(b, t, h) * 5u * K;
    let g = dO[token(b, t, h) * V + column];
    var byReading = 0.0;
    for (var i = 0u; i < K; i++) {
      D[i] += rows[at + i] * g;
      byReading += rows[at + 3u * K + i] * D[i];
    }`
const passColumn = `
    for (var i = 0u; i < K; i++) { D[i] = rows[at + 4u * K + i] * D[i] + rows[at + 2u * K + i] * byReading; }`

/** `write` the other way: what a chunk adds to the cotangent of the state before it. */
export const writeBackShader = perDeltaForm((form) => ({
  name: 'deltaRule.writeBack',
  sizes: deltaSizes,
  inputs: ['rows', 'dO'],
  outputs: ['written'],
  body: byColumn(
    form,
    `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = 0.0; }
  ${backwards} {
    ${stepColumn}
    ${passColumn}
  }
  for (var i = 0u; i < K; i++) { written[stateAt(chunk, head, i) + column] = D[i]; }`,
  ),
}))

/** Cotangents of the state at the end of every chunk, and of the first state. */
export const stateBackShader = perDeltaForm((form) => ({
  name: 'deltaRule.statesBack',
  sizes: deltaSizes,
  inputs: ['written', 'passed', 'dLast'],
  outputs: ['dStates', 'dState'],
  body: acrossChunks(
    form,
    `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = dLast[stateAt(0u, head, i) + column]; }
  for (var left = sizes.chunks; left > 0u; left--) {
    let chunk = left - 1u;
    var before: array<f32, K>;
    for (var i = 0u; i < K; i++) {
      let at = stateAt(chunk, head, i) + column;
      dStates[at] = D[i];
      var sum = written[at];
      for (var n = 0u; n < K; n++) { sum += passed[passedAt(chunk, head, n) + i] * D[n]; }
      before[i] = sum;
    }
    D = before;
  }
  for (var i = 0u; i < K; i++) { dState[stateAt(0u, head, i) + column] = D[i]; }`,
  ),
}))

/** Gradients of v; cotangents of outputs and of what was read beside each other; D at the ends of shorter chunks. */
export const valueGradientShader = perDeltaForm((form) => ({
  name: 'deltaRule.dv',
  sizes: deltaSizes,
  inputs: ['rows', 'dO', 'dStates'],
  outputs: ['dv', 'asked', 'dBorders'],
  body: byColumn(
    form,
    `  var D: array<f32, K>;
  for (var i = 0u; i < K; i++) { D[i] = dStates[stateAt(chunk, head, i) + column]; }
  ${backwards} {
    if (t + 1u == end || (t + 1u) % F == 0u) {
      for (var i = 0u; i < K; i++) { dBorders[stateAt(t / F, head, i) + column] = D[i]; }
    }
    ${stepColumn}
    var sum = 0.0;
    for (var i = 0u; i < K; i++) { sum += rows[at + K + i] * D[i]; }
    dv[token(b, t, h) * V + column] = sum;
    asked[token(b, t, h) * 2u * V + column] = g;
    asked[token(b, t, h) * 2u * V + V + column] = byReading;
    ${passColumn}
  }`,
  ),
}))

/** One token's change of a row of the state, its decay, key and values known. */
const stepRow = 'S[j] = decay * S[j] + key * values[base + j] + low * values[base + V + j];'

const namedRows = `
    let at = token(b, t, h) * 5u * K + i;
    let base = token(b, t, h) * 2u * V;
    let decay = rows[at + 4u * K];`

/** Gradients of q and a, from states. */
export const readerGradientShader = perDeltaForm((form) => ({
  name: 'deltaRule.dq',
  sizes: deltaSizes,
  inputs: ['rows', 'values', 'asked', 'borders', ...(form.resets ? ['resets'] : [])],
  outputs: ['dq', 'da'],
  body: byRow(
    form,
    `  var S: array<f32, V>;
  for (var j = 0u; j < V; j++) { S[j] = borders[stateAt(chunk, head, i) + j]; }
  for (var t = begin; t < end; t++) {
    ${namedRows}
    let key = rows[at + K];
    let low = rows[at + 3u * K];
    ${form.resets ? 'if (resets[b * sizes.T + t] > 0.5) { for (var j = 0u; j < V; j++) { S[j] = 0.0; } }' : ''}
    var byQuery = 0.0;
    var byReader = 0.0;
    for (var j = 0u; j < V; j++) {
      byReader += S[j] * asked[base + V + j];
      ${stepRow}
      byQuery += S[j] * asked[base + j];
    }
    dq[token(b, t, h) * K + i] = bitcast<f32>(sizes.scale) * byQuery;
    da[token(b, t, h) * K + i] = byReader;
  }`,
  ),
}))

/** The state before every token of a chunk, made again from that at its start. */
const hold = `  var S: array<f32, V>;
  var held: array<f32, F * V>;
  for (var j = 0u; j < V; j++) { S[j] = borders[stateAt(chunk, head, i) + j]; }
  for (var t = begin; t < end; t++) {
    ${namedRows}
    let key = rows[at + K];
    let low = rows[at + 3u * K];
    for (var j = 0u; j < V; j++) {
      held[(t - begin) * V + j] = S[j];
      ${stepRow}
    }
  }`

const hasDecays = ({ decays }: DeltaForm): boolean => decays !== 'none'

/** Gradients of k and b, and of the log-decay of every channel, from cotangents of states. */
export const writerGradientShader = perDeltaForm((form) => ({
  name: 'deltaRule.dk',
  sizes: deltaSizes,
  inputs: ['rows', 'values', 'asked', 'dBorders', ...(hasDecays(form) ? ['borders'] : [])],
  outputs: ['dk', 'db', ...(hasDecays(form) ? ['dLogDecay'] : [])],
  body: byRow(
    form,
    `${hasDecays(form) ? hold : ''}
  var D: array<f32, V>;
  for (var j = 0u; j < V; j++) { D[j] = dBorders[stateAt(chunk, head, i) + j]; }
  ${backwards} {
    ${namedRows}
    let query = rows[at];
    let reader = rows[at + 2u * K];
    var byKey = 0.0;
    var byLow = 0.0;
    var kept = 0.0;
    for (var j = 0u; j < V; j++) {
      let cotangent = D[j] + query * asked[base + j];
      byKey += cotangent * values[base + j];
      byLow += cotangent * values[base + V + j];
      ${hasDecays(form) ? 'kept += cotangent * held[(t - begin) * V + j];' : ''}
      D[j] = decay * cotangent + reader * asked[base + V + j];
    }
    dk[token(b, t, h) * K + i] = byKey;
    db[token(b, t, h) * K + i] = byLow;
    ${hasDecays(form) ? 'dLogDecay[token(b, t, h) * K + i] = decay * kept;' : ''}
  }`,
  ),
}))
