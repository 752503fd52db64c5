import { sumRows } from './affine'
import { matMul, matMulScratch } from './mat-mul'
import { addRow, copyRow } from './rows'
import { loadSome } from './simd'
import { isSet } from './wkv4'

/** Bytes of so many floats, up to a whole vector. */
export function room(count: i32): usize {
  return (((<usize>count) << 2) + 15) & ~15
}

/** Bytes that products with a recurrent weight [gates, width] need, over a token of each row or over all of them. */
export function productScratch(tokens: i32, gates: i32, width: i32): usize {
  return <usize>max(max(matMulScratch(gates, width), matMulScratch(width, gates)), matMulScratch(width, tokens))
}

/** A copy of what came in, or zeros. */
export function begin(from: usize, to: usize, count: i32): void {
  const bytes = (<usize>count) << 2
  if (from === 0) memory.fill(to, 0, bytes)
  else memory.copy(to, from, bytes)
}

/** Empties the rows of a state [batch, width] that start anew at token t. */
export function emptyAt(state: usize, resets: usize, t: usize, batch: i32, time: i32, width: i32): void {
  if (resets === 0) return
  const row = (<usize>width) << 2
  for (let n: usize = 0; n < <usize>batch; n++) if (isSet(resets, n * time + t)) memory.fill(state + n * row, 0, row)
}

/** The state that each token finds, from the states after each: [batch, time, width]. */
export function found(states: usize, first: usize, resets: usize, to: usize, batch: i32, time: i32, width: i32): void {
  const row = (<usize>width) << 2
  for (let n: usize = 0; n < <usize>batch; n++) {
    const at = n * time * row
    if (first === 0) memory.fill(to + at, 0, row)
    else copyRow(first + n * row, to + at, row)
    memory.copy(to + at + row, states + at, <usize>(time - 1) * row)
    for (let t: usize = 0; t < <usize>time; t++) {
      if (isSet(resets, n * time + t)) memory.fill(to + at + t * row, 0, row)
    }
  }
}

/** product [rows, gates] = state [rows, width] weightᵀ. */
export function throughWeight(
  state: usize,
  weight: usize,
  product: usize,
  scratch: usize,
  rows: i32,
  gates: i32,
  width: i32,
): void {
  matMul(state, weight, product, scratch, 1, 0, 0, rows, gates, width, false, true)
}

/** g [batch, width] += step [batch, gates] weight; `back` is as large as g. */
export function backThroughWeight(
  step: usize,
  weight: usize,
  g: usize,
  back: usize,
  scratch: usize,
  batch: i32,
  gates: i32,
  width: i32,
): void {
  matMul(step, weight, back, scratch, 1, 0, 0, batch, width, gates, false, false)
  addRow(back, g, (<usize>(batch * width)) << 2)
}

/** Gradients of weight and bias, from those of all products and the states that were multiplied. */
export function weightGradients(
  dproducts: usize,
  states: usize,
  dweight: usize,
  dbias: usize,
  scratch: usize,
  tokens: i32,
  gates: i32,
  width: i32,
): void {
  matMul(dproducts, states, dweight, scratch, 1, 0, 0, gates, width, tokens, true, false)
  if (dbias !== 0) sumRows(dproducts, dbias, tokens, gates)
}

/** Flags have no gradient. */
export function clearFlags(dresets: usize, dmask: usize, tokens: i32): void {
  if (dresets !== 0) memory.fill(dresets, 0, (<usize>tokens) << 2)
  if (dmask !== 0) memory.fill(dmask, 0, (<usize>tokens) << 2)
}

/** What the token gives, the last state gives, and the bias. */
export function sum3(x: usize, y: usize, z: usize, lanes: i32): v128 {
  return f32x4.add(f32x4.add(loadSome(x, lanes), loadSome(y, lanes)), loadSome(z, lanes))
}
