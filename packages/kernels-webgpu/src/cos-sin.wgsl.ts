import type { Shader } from './run.js'

// Those of WGSL are exact to 2^-11 only. Here an angle goes to within π/4 of a multiple of π/2, and two polynomials do the
// rest: Moshier 1989, the single precision of Cephes. π/2 is taken away in four parts, three of them of 8 bits, so that no
// digit of angles up to 1e5 is lost.

export const forward: Shader = {
  name: 'cosSin',
  sizes: [],
  inputs: ['angle'],
  outputs: ['cosine', 'sine'],
  body: `
fn run(i: u32) {
  let turns = round(angle[i] * 0.6366197723675814);
  let near = (angle[i] - turns * 1.5703125) - turns * 0.0004825592041015625;
  let x = (near - turns * 1.266598701477051e-06) - turns * 9.920935797e-10;
  let z = x * x;
  let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x;
  let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let quarter = i32(turns) & 3;
  let swapped = (quarter & 1) == 1;
  cosine[i] = select(1.0, -1.0, quarter == 1 || quarter == 2) * select(c, s, swapped);
  sine[i] = select(1.0, -1.0, quarter >= 2) * select(s, c, swapped);
}`,
}
