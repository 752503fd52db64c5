/** a * b + c in each lane; rounded once where the relaxed instruction exists, else twice. */
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

/** The first `lanes` of the numbers at an address, 0 in the other lanes; nothing beyond them is read. */
export function loadSome(at: usize, lanes: i32): v128 {
  return lanes >= 4 ? v128.load(at) : loadFew(at, lanes)
}

function loadFew(at: usize, lanes: i32): v128 {
  let x = v128.load32_zero(at)
  if (lanes > 1) x = f32x4.replace_lane(x, 1, f32.load(at + 4))
  if (lanes > 2) x = f32x4.replace_lane(x, 2, f32.load(at + 8))
  return x
}

/** Stores the first `lanes` lanes, and nothing beyond them. */
export function storeSome(at: usize, x: v128, lanes: i32): void {
  if (lanes >= 4) v128.store(at, x)
  else storeFew(at, x, lanes)
}

function storeFew(at: usize, x: v128, lanes: i32): void {
  f32.store(at, f32x4.extract_lane(x, 0))
  if (lanes > 1) f32.store(at + 4, f32x4.extract_lane(x, 1))
  if (lanes > 2) f32.store(at + 8, f32x4.extract_lane(x, 2))
}

/** The sum of the four lanes. */
export function sum4(x: v128): f32 {
  const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1))
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1)
}

/** Sums of x and of y in the first two lanes. */
export function sums2(x: v128, y: v128): v128 {
  const halves = f32x4.add(v128.shuffle<f32>(x, y, 0, 1, 4, 5), v128.shuffle<f32>(x, y, 2, 3, 6, 7))
  return f32x4.add(v128.shuffle<f32>(halves, halves, 0, 2, 0, 2), v128.shuffle<f32>(halves, halves, 1, 3, 1, 3))
}

/** The greatest of four numbers. */
export function max4(x: v128): f32 {
  const pairs = f32x4.pmax(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1))
  return max<f32>(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1))
}

/** 1.5 * 2^23: a float of size up to 2^22 that is added to it is rounded to a whole number, held in the lowest bits. */
const ROUNDER: f32 = 12582912

/**
 * e^x in each lane, within 2 units in the last place; arguments below -87.3 give 1.2e-38, above 88.3 give 2.2e38, and
 * NaN stays NaN. Source: Moshier, Cephes (expf).
 */
export function exp4(x: v128): v128 {
  // in this order of arguments pmax and pmin keep a NaN, at one instruction each
  const clamped = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.3)), f32x4.splat(88.3))
  const shifted = f32x4.add(f32x4.mul(clamped, f32x4.splat(<f32>Math.LOG2E)), f32x4.splat(ROUNDER))
  const n = f32x4.sub(shifted, f32x4.splat(ROUNDER))
  // ln 2 in two parts, of which the first multiplies without rounding
  const r = f32x4.sub(
    f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375))),
    f32x4.mul(n, f32x4.splat(-2.1219444e-4)),
  )
  let p = madd(f32x4.splat(1.98756915e-4), r, f32x4.splat(1.3981999507e-3))
  p = madd(p, r, f32x4.splat(8.3334519073e-3))
  p = madd(p, r, f32x4.splat(4.1665795894e-2))
  p = madd(p, r, f32x4.splat(1.6666665459e-1))
  p = madd(p, r, f32x4.splat(5.0000001201e-1))
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1))
  const power = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000))
  return f32x4.mul(p, power)
}

/**
 * 2^x in each lane, for x below 127, within 2 units in the last place; below -126 it gives 1.2e-38, and NaN stays NaN.
 * A few instructions cheaper than e^x, for a caller that can scale by log2(e) beforehand. Source: Moshier, Cephes (exp2f).
 */
export function exp2Below4(x: v128): v128 {
  const clamped = f32x4.pmax(x, f32x4.splat(-126))
  const shifted = f32x4.add(clamped, f32x4.splat(ROUNDER))
  const r = f32x4.sub(clamped, f32x4.sub(shifted, f32x4.splat(ROUNDER)))
  let p = madd(f32x4.splat(1.5353361883195e-4), r, f32x4.splat(1.339887440266574e-3))
  p = madd(p, r, f32x4.splat(9.61843735767464e-3))
  p = madd(p, r, f32x4.splat(5.550332471162809e-2))
  p = madd(p, r, f32x4.splat(2.402264791363012e-1))
  p = madd(p, r, f32x4.splat(6.931472028550421e-1))
  p = madd(p, r, f32x4.splat(1))
  // the whole part goes straight to the exponent
  return i32x4.add(p, i32x4.shl(shifted, 23))
}

/** 1 / (1 + e^-x) in each lane. */
export function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))
}

/** ln(1 + e^x) in each lane, of full relative precision where it is small. */
export function softplus4(x: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(x)))
  // ln(1 + e) = 2 artanh(e / (2 + e)), an argument of at most 1/3
  const s = f32x4.div(e, f32x4.add(e, f32x4.splat(2)))
  const q = f32x4.mul(s, s)
  let p = madd(f32x4.splat(1.0 / 15), q, f32x4.splat(1.0 / 13))
  p = madd(p, q, f32x4.splat(1.0 / 11))
  p = madd(p, q, f32x4.splat(1.0 / 9))
  p = madd(p, q, f32x4.splat(1.0 / 7))
  p = madd(p, q, f32x4.splat(1.0 / 5))
  p = madd(p, q, f32x4.splat(1.0 / 3))
  p = madd(p, q, f32x4.splat(1))
  const twice = f32x4.add(s, s)
  return madd(twice, p, f32x4.pmax(x, f32x4.splat(0)))
}

/** e^x of one number, by the same formula as a full vector, so that tails agree with it. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

/** Hyperbolic tangent in each lane, within 2 units in the last place. Source: Moshier, Cephes (tanhf). */
export function tanh4(x: v128): v128 {
  const size = f32x4.abs(x)
  const far = f32x4.sub(
    f32x4.splat(1),
    f32x4.div(f32x4.splat(2), f32x4.add(exp4(f32x4.add(size, size)), f32x4.splat(1))),
  )
  // near 0 that difference would lose its digits
  const z = f32x4.mul(x, x)
  let p = madd(f32x4.splat(-5.70498872745e-3), z, f32x4.splat(2.06390887954e-2))
  p = madd(p, z, f32x4.splat(-5.37397155531e-2))
  p = madd(p, z, f32x4.splat(1.33314422036e-1))
  p = madd(p, z, f32x4.splat(-3.33332819422e-1))
  const near = madd(f32x4.mul(p, z), x, x)
  const signs = i32x4.splat(0x80000000)
  const signed = v128.or(far, v128.and(x, signs))
  return v128.bitselect(near, signed, f32x4.lt(size, f32x4.splat(0.625)))
}

/** Natural logarithm of a positive normal number, in double precision: no tables, which would need static memory. */
export function log1(x: f64): f64 {
  const bits = reinterpret<i64>(x)
  let exponent = ((bits >> 52) & 0x7ff) - 1023
  let mantissa = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000)
  if (mantissa > Math.SQRT2) {
    mantissa *= 0.5
    exponent++
  }
  const s = (mantissa - 1) / (mantissa + 1)
  const q = s * s
  const series =
    1 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13 + q * (1.0 / 15)))))))
  return <f64>exponent * Math.LN2 + 2 * s * series
}
