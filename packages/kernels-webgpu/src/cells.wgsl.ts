import { decayed } from './decayed.wgsl.js'
import { gates } from './gates.wgsl.js'

/**
 * What a recurrent cell does at one unit. `step` and `stepBack` see `pre`, what goes into each gate, and `before`, the
 * state that the token finds; `d` is the cotangent of the state after it.
 */
export interface Cell {
  readonly name: string
  /** Parts of the state, the output first. */
  readonly states: readonly string[]
  readonly gates: number
  /** Whether the last gate sees product and token apart: then `pre` has one number more, that of the token. */
  readonly apart: boolean
  /** Numbers that the cell takes, as bits among the sizes. */
  readonly attrs: readonly string[]
  /** `fn step(pre: Pre, before: State) -> State`. */
  readonly step: string
  /** `fn stepBack(pre: Pre, before: State, d: State) -> Back`, whose `product` is read only where `apart`. */
  readonly stepBack: string
}

export const leakyRnn: Cell = {
  name: 'leakyRnn',
  states: ['h'],
  gates: 1,
  apart: false,
  attrs: ['leak'],
  step: `${gates}
fn step(pre: Pre, before: State) -> State {
  return State(before[0] + bitcast<f32>(sizes.leak) * (tanhOf(pre[0]) - before[0]));
}`,
  stepBack: `${gates}
fn stepBack(pre: Pre, before: State, d: State) -> Back {
  let leak = bitcast<f32>(sizes.leak);
  let seen = tanhOf(pre[0]);
  var back = Back();
  back.given[0] = leak * d[0] * (1.0 - seen * seen);
  back.before[0] = (1.0 - leak) * d[0];
  return back;
}`,
}

export const gru: Cell = {
  name: 'gru',
  states: ['h'],
  gates: 3,
  apart: true,
  attrs: [],
  step: `${gates}
fn step(pre: Pre, before: State) -> State {
  let z = sigmoid(pre[1]);
  let n = tanhOf(pre[3] + sigmoid(pre[0]) * pre[2]);
  return State(n + z * (before[0] - n));
}`,
  stepBack: `${gates}
fn stepBack(pre: Pre, before: State, d: State) -> Back {
  let r = sigmoid(pre[0]);
  let z = sigmoid(pre[1]);
  let n = tanhOf(pre[3] + r * pre[2]);
  let dn = d[0] * (1.0 - z) * (1.0 - n * n);
  let dz = d[0] * (before[0] - n) * z * (1.0 - z);
  let dr = dn * pre[2] * r * (1.0 - r);
  return Back(State(d[0] * z), Gates(dr, dz, dn), Gates(dr, dz, dn * r));
}`,
}

export const lstm: Cell = {
  name: 'lstm',
  states: ['h', 'c'],
  gates: 4,
  apart: false,
  attrs: [],
  step: `${gates}
fn step(pre: Pre, before: State) -> State {
  let c = sigmoid(pre[1]) * before[1] + sigmoid(pre[0]) * tanhOf(pre[2]);
  return State(sigmoid(pre[3]) * tanhOf(c), c);
}`,
  stepBack: `${gates}
fn stepBack(pre: Pre, before: State, d: State) -> Back {
  let i = sigmoid(pre[0]);
  let f = sigmoid(pre[1]);
  let g = tanhOf(pre[2]);
  let o = sigmoid(pre[3]);
  let shown = tanhOf(f * before[1] + i * g);
  let dc = d[1] + d[0] * o * (1.0 - shown * shown);
  var back = Back();
  back.given[0] = dc * g * i * (1.0 - i);
  back.given[1] = dc * before[1] * f * (1.0 - f);
  back.given[2] = dc * i * (1.0 - g * g);
  back.given[3] = d[0] * shown * o * (1.0 - o);
  back.before[1] = dc * f;
  return back;
}`,
}

/** Nothing has been written where n = 0, whatever m stands there. */
const stabilised = `${gates}${decayed}
fn softplus(x: f32) -> f32 {
  let e = exp(-abs(x));
  // ln(1 + e), by its series where the sum would be rounded
  return max(x, 0.0) + select(log(1.0 + e), e * (1.0 - e * (0.5 - e * 0.33333333)), e < 0.01);
}
fn keptOf(f: f32, n: f32, m: f32) -> f32 { return m - softplus(-f) + select(0.0, -1e30, n == 0.0); }`

export const slstm: Cell = {
  name: 'slstm',
  states: ['h', 'c', 'n', 'm'],
  gates: 4,
  apart: false,
  attrs: [],
  step: `${stabilised}
fn step(pre: Pre, before: State) -> State {
  let old = keptOf(pre[1], before[2], before[3]);
  let m = max(pre[0], old);
  let written = decayed(pre[0] - m);
  let kept = decayed(old - m);
  let c = kept * before[1] + written * tanhOf(pre[2]);
  let n = kept * before[2] + written;
  return State(sigmoid(pre[3]) * (c / n), c, n, m);
}`,
  stepBack: `${stabilised}
fn stepBack(pre: Pre, before: State, d: State) -> Back {
  let z = tanhOf(pre[2]);
  let o = sigmoid(pre[3]);
  let old = keptOf(pre[1], before[2], before[3]);
  let m = max(pre[0], old);
  let written = decayed(pre[0] - m);
  let kept = decayed(old - m);
  let n = kept * before[2] + written;
  let ratio = (kept * before[1] + written * z) / n;
  let shown = d[0] * o / n;
  let dc = d[1] + shown;
  let dn = d[2] - shown * ratio;
  let byKept = kept * (dc * before[1] + dn * before[2]);
  let byWritten = written * (dc * z + dn);
  let byMax = d[3] - byKept - byWritten;
  let larger = pre[0] >= old;
  let dold = byKept + select(byMax, 0.0, larger);
  var back = Back();
  back.given[0] = byWritten + select(0.0, byMax, larger);
  back.given[1] = dold * sigmoid(-pre[1]);
  back.given[2] = dc * written * (1.0 - z * z);
  back.given[3] = d[0] * ratio * o * (1.0 - o);
  back.before = State(0.0, dc * kept, dn * kept, dold);
  return back;
}`,
}
