import type { Shader } from './run.js'

/** One invocation a number of the output. */
export const forward: Shader = {
  name: 'embedding',
  sizes: ['D'],
  inputs: ['table', 'ids'],
  whole: ['ids'],
  outputs: ['y'],
  body: `
fn run(i: u32) { y[i] = table[u32(ids[i / sizes.D]) * sizes.D + i % sizes.D]; }`,
}

/**
 * Tokens of one id as a chain, in their order: place v holds the first token of id v, and place V + n the next of the id
 * of token n; N where there is none. WGSL has no sums of floats that many invocations may add to.
 */
export const chains: Shader = {
  name: 'embedding.chains',
  sizes: ['V', 'N'],
  inputs: ['ids'],
  whole: ['ids'],
  outputs: ['links'],
  body: `
fn run(i: u32) {
  var id = i32(i);
  var n = 0u;
  if (i >= sizes.V) {
    n = i - sizes.V;
    id = ids[n];
    n += 1u;
  }
  while (n < sizes.N && ids[n] != id) { n += 1u; }
  links[i] = f32(n);
}`,
}

/** One invocation a number of the table, along the chain of its row. */
export const backward: Shader = {
  name: 'embedding.backward',
  sizes: ['V', 'N', 'D'],
  inputs: ['links', 'dy'],
  outputs: ['dtable'],
  body: `
fn run(i: u32) {
  var sum = 0.0;
  var n = u32(links[i / sizes.D]);
  while (n < sizes.N) {
    sum += dy[n * sizes.D + i % sizes.D];
    n = u32(links[sizes.V + n]);
  }
  dtable[i] = sum;
}`,
}
