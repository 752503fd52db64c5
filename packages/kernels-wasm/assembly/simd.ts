/** a * b + c in each lane; rounded once where the relaxed instruction exists, else twice. */
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
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

/** e^x of one number, by the same formula as a full vector, so that tails agree with it. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
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
