import { blocked, blockedScratch } from './mat-mul-blocked'
import { axpy, dots, packRows, thin } from './mat-mul-few'

/** Up to so many rows the packing of B would not pay: row dot products, or B in place. */
const FEW_ROWS = 16
const FEW_COLUMNS = 12
const IN_PLACE_ROWS = 32
const THIN_DEPTH = 3
const AXPY_ROWS = 3
/** The same where rows of B lie a multiple of 4 KB apart: a walk down them falls into one set of the first cache. */
const RESONANCE: i32 = 4096
const RESONANT_AXPY_ROWS = 16

/** Bytes of scratch that `matMul` needs for products of these sizes, whatever the number of rows. */
export function matMulScratch(n: i32, k: i32): i32 {
  return max(blockedScratch(n, k), FEW_ROWS * k) << 2
}

/**
 * c[i] = op(a[i]) op(b[i]) for `batches` products of [m, k] by [k, n], where op transposes on demand. `aStep` and
 * `bStep` are the bytes from one product's operand to the next's; 0 repeats it.
 */
export function matMul(
  a: usize,
  b: usize,
  c: usize,
  scratch: usize,
  batches: i32,
  aStep: usize,
  bStep: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
): void {
  for (let i = 0; i < batches; i++) {
    product(a, b, c, scratch, m, n, k, transposeA, transposeB)
    a += aStep
    b += bStep
    c += (<usize>(m * n)) << 2
  }
}

function product(
  a: usize,
  b: usize,
  c: usize,
  scratch: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: bool,
  transposeB: bool,
): void {
  if (k <= THIN_DEPTH && (!transposeB || k <= 1)) {
    thin(a, b, c, m, n, k, transposeA ? 4 : (<usize>k) << 2, transposeA ? (<usize>m) << 2 : 4)
  } else if (transposeB && m <= FEW_ROWS) {
    dots(transposeA ? packRows(a, scratch, m, k) : a, b, c, m, n, k, (<usize>n) << 2, 4)
  } else if (!transposeA && n <= FEW_COLUMNS) {
    // the mirror image: each row of A is dotted with the few columns of B
    dots(transposeB ? b : packRows(b, scratch, n, k), a, c, n, m, k, 4, (<usize>n) << 2)
  } else if (!transposeB && m <= (resonant(n) ? RESONANT_AXPY_ROWS : AXPY_ROWS)) {
    axpy(transposeA ? packRows(a, scratch, m, k) : a, b, c, m, n, k)
  } else {
    blocked(a, b, c, scratch, m, n, k, transposeA, transposeB, !transposeB && m <= IN_PLACE_ROWS && !resonant(n))
  }
}

function resonant(n: i32): bool {
  return (n << 2) % RESONANCE === 0
}
