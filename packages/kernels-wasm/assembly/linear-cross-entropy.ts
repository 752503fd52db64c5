import { LOWEST, rowMax, sumExp } from './cross-entropy'
import { matMul, matMulScratch } from './mat-mul'
import { addRow, dot } from './rows'
import { exp1, exp4, log1 } from './simd'

/** Tokens and words of a block: its logits, 512 KB, stay in the second-level cache. */
const ROWS = 256
const WORDS = 512

/** Bytes of scratch for the products of a block, whichever way round they are taken. */
function productScratch(width: i32): i32 {
  const words = max(matMulScratch(WORDS, width), matMulScratch(width, WORDS))
  return max(words, matMulScratch(width, ROWS))
}

/** Bytes of scratch that either pass needs. */
export function linearCrossEntropyScratch(width: i32): i32 {
  return ((ROWS * WORDS + 2 * ROWS + WORDS * width) << 2) + productScratch(width)
}

/** Logits of a block, `words` to a row. */
function logitsOf(
  hidden: usize,
  weight: usize,
  bias: usize,
  logits: usize,
  scratch: usize,
  rows: i32,
  words: i32,
  width: i32,
): void {
  matMul(hidden, weight, logits, scratch, 1, 0, 0, rows, words, width, false, true)
  if (bias === 0) return
  for (let n = 0; n < rows; n++) addRow(bias, logits + ((<usize>(n * words)) << 2), (<usize>words) << 2)
}

/**
 * lse[n] = log sum_v exp(w_v·h_n + b_v) and nll[n] = lse[n] less the target's logit, for hidden [count, width] and weight
 * [vocabulary, width]; `bias` [vocabulary] or 0. A block of logits at a time, with a running maximum and sum.
 */
export function linearCrossEntropy(
  hidden: usize,
  weight: usize,
  bias: usize,
  targets: usize,
  nll: usize,
  lse: usize,
  scratch: usize,
  count: i32,
  width: i32,
  vocabulary: i32,
): void {
  const row = (<usize>width) << 2
  const running = scratch + ((ROWS * WORDS) << 2)
  const products = running + ((2 * ROWS) << 2)
  for (let n = 0; n < count; n += ROWS) {
    const rows = min(ROWS, count - n)
    for (let r: usize = 0; r < <usize>rows; r++) {
      f32.store(running + (r << 3), LOWEST)
      f32.store(running + (r << 3), 0, 4)
    }
    for (let v = 0; v < vocabulary; v += WORDS) {
      const words = min(WORDS, vocabulary - v)
      const biasHere = bias === 0 ? 0 : bias + ((<usize>v) << 2)
      logitsOf(hidden + <usize>n * row, weight + <usize>v * row, biasHere, scratch, products, rows, words, width)
      for (let r: usize = 0; r < <usize>rows; r++) absorb(running + (r << 3), scratch + ((r * words) << 2), words)
    }
    for (let r = 0; r < rows; r++) {
      const at = (<usize>(n + r)) << 2
      const total = f32.load(running + ((<usize>r) << 3), 4)
      const sum = f32.load(running + ((<usize>r) << 3)) + <f32>log1(<f64>total)
      f32.store(lse + at, sum)
      const target = i32.load(targets + at)
      // what is no word of the vocabulary must not be read
      if (<u32>target >= <u32>vocabulary) {
        f32.store(nll + at, sum)
        continue
      }
      let chosen = dot(hidden + <usize>(n + r) * row, weight + <usize>target * row, width)
      if (bias !== 0) chosen += f32.load(bias + ((<usize>target) << 2))
      f32.store(nll + at, sum - chosen)
    }
  }
}

/** Takes a row of logits into its running maximum and sum. */
function absorb(running: usize, logits: usize, words: i32): void {
  const bytes = (<usize>words) << 2
  const top = f32.load(running)
  const higher = max<f32>(top, rowMax(logits, bytes))
  const before = higher > top ? f32.load(running, 4) * exp1(top - higher) : f32.load(running, 4)
  f32.store(running, higher)
  f32.store(running, before + sumExp(logits, bytes, higher), 4)
}

/**
 * Gradients by hidden, weight and bias from those of nll and lse: logits come back block by block, words outside and
 * tokens inside, so that the gradient of a block of weights is finished before the next.
 */
export function linearCrossEntropyBackward(
  hidden: usize,
  weight: usize,
  bias: usize,
  targets: usize,
  lse: usize,
  dNll: usize,
  dLse: usize,
  dHidden: usize,
  dWeight: usize,
  dBias: usize,
  scratch: usize,
  count: i32,
  width: i32,
  vocabulary: i32,
): void {
  const row = (<usize>width) << 2
  const product = scratch + ((ROWS * WORDS + 2 * ROWS) << 2)
  const products = product + ((<usize>(WORDS * width)) << 2)
  memory.fill(dHidden, 0, <usize>count * row)
  memory.fill(dWeight, 0, <usize>vocabulary * row)
  if (dBias !== 0) memory.fill(dBias, 0, (<usize>vocabulary) << 2)
  for (let v = 0; v < vocabulary; v += WORDS) {
    const words = min(WORDS, vocabulary - v)
    const biasHere = bias === 0 ? 0 : bias + ((<usize>v) << 2)
    const weightHere = weight + <usize>v * row
    for (let n = 0; n < count; n += ROWS) {
      const rows = min(ROWS, count - n)
      const hiddenHere = hidden + <usize>n * row
      logitsOf(hiddenHere, weightHere, biasHere, scratch, products, rows, words, width)
      for (let r = 0; r < rows; r++) {
        const at = (<usize>(n + r)) << 2
        const here = scratch + ((<usize>(r * words)) << 2)
        const dy = f32.load(dNll + at)
        toGradients(here, words, f32.load(lse + at), dy + f32.load(dLse + at))
        const target = i32.load(targets + at) - v
        if (<u32>target < <u32>words) {
          const chosen = here + ((<usize>target) << 2)
          f32.store(chosen, f32.load(chosen) - dy)
        }
        if (dBias !== 0) addRow(here, dBias + ((<usize>v) << 2), (<usize>words) << 2)
      }
      matMul(scratch, weightHere, product, products, 1, 0, 0, rows, width, words, false, false)
      addRow(product, dHidden + <usize>n * row, (<usize>(rows * width)) << 2)
      matMul(scratch, hiddenHere, product, products, 1, 0, 0, words, width, rows, true, false)
      addRow(product, dWeight + <usize>v * row, (<usize>(words * width)) << 2)
    }
  }
}

/** x = share * e^(x - lse). */
function toGradients(x: usize, words: i32, lse: f32, share: f32): void {
  const row = (<usize>words) << 2
  const whole = row & ~15
  const sums = f32x4.splat(lse)
  const shares = f32x4.splat(share)
  let i: usize = 0
  for (; i < whole; i += 16) v128.store(x + i, f32x4.mul(shares, exp4(f32x4.sub(v128.load(x + i), sums))))
  for (; i < row; i += 4) f32.store(x + i, share * exp1(f32.load(x + i) - lse))
}
