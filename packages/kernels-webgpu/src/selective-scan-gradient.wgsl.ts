import type { Shader } from './run.js'
import { again, type Form, places, present, sizes } from './selective-scan.wgsl.js'

// What is left when the cotangents of the states are known at the end of every chunk.

/** Gradients by Bt and C, which are sums over channels: one invocation a state and a chunk, so that none need be shared. */
export const matrices = (form: Form): Shader => ({
  name: 'selectiveScan.matrices',
  sizes,
  inputs: ['planes', 'A', 'Bt', 'C', 'xs', 'ends'],
  outputs: ['dBt', 'dC'],
  body: `${places(form)}
fn run(index: u32) {
  let n = index % N;
  let c = (index / N) % sizes.chunks;
  let b = index / (N * sizes.chunks);
  let first = c * L;
  let count = min(L, sizes.T - first);
  var byB: array<f32, L>;
  var byC: array<f32, L>;
  for (var d = 0u; d < sizes.D; d++) {
    let channel = b * sizes.D + d;
    let a = A[d * N + n];${again}
    var g = ends[border(channel, c) + n];
    for (var back = count; back > 0u; back--) {
      let j = back - 1u;
      let i = place(channel, first + j);
      let out = planes[2u * plane() + i];
      g += out * C[matrices(channel, first + j) + n];
      byB[j] += g * abs(planes[i]) * planes[plane() + i];
      byC[j] += out * x[j + 1u];
      g *= kept[j];
    }
  }
  for (var j = 0u; j < count; j++) {
    let at = matrices(b * sizes.D, first + j) + n;
    dBt[at] = byB[j];
    dC[at] = byC[j];
  }
}`,
})

/** Gradients by u, delta and z, token by token. */
export const sequences = (form: Form): Shader => ({
  name: 'selectiveScan.sequences',
  sizes,
  inputs: ['planes', 'sums', ...present(form, 'skip'), ...(form.z ? ['z', 'dy'] : [])],
  outputs: ['du', 'ddelta', ...(form.z ? ['dz'] : [])],
  body: `${places(form)}
fn run(i: u32) {
  let dt = abs(planes[i]);
  let value = planes[plane() + i];
  let direct = ${form.skip ? 'skip[i % sizes.D]' : '0.0'};
  du[i] = dt * sums[i] + planes[2u * plane() + i] * direct;
  ddelta[i] = (value * sums[i] + sums[plane() + i]) * sigmoidOf(dt);
  ${
    form.z
      ? `let open = 1.0 / (1.0 + exp(-z[i]));
  dz[i] = dy[i] * (sums[2u * plane() + i] + direct * value) * open * (1.0 + z[i] * (1.0 - open));`
      : ''
  }
}`,
})

/** Gradients by what is the same for all rows of the batch, and by the state that came in. */
export const parameters = (form: Form): Shader => ({
  name: 'selectiveScan.parameters',
  sizes,
  inputs: ['ends'],
  outputs: ['dA', ...present(form, 'skip', 'deltaBias', 'state').map((name) => `d${name}`)],
  body: `${places(form)}
fn run(index: u32) {
  let whole = sizes.B * sizes.chunks * sizes.D * N;
  let states = sizes.B * sizes.D * N;
  let d = index / N;
  var a = 0.0;
  var skipped = 0.0;
  var biased = 0.0;
  for (var b = 0u; b < sizes.B; b++) {
    let at = b * sizes.D * N + index;
    a += ends[whole + states + at];
    skipped += ends[whole + 2u * states + b * sizes.D + d];
    biased += ends[whole + 2u * states + (sizes.B + b) * sizes.D + d];
    ${form.state ? 'dstate[at] = ends[whole + at];' : ''}
  }
  dA[index] = a;
  ${form.skip ? 'if (index % N == 0u) { dskip[d] = skipped; }' : ''}
  ${form.deltaBias ? 'if (index % N == 0u) { ddeltaBias[d] = biased; }' : ''}
}`,
})
