// a NaN keeps its payload only as bits: passing it through a number may rewrite it, so everything here works on integers
// save for half subnormals, whose values are exact

/** IEEE 754 binary16 to float32; exact, NaN payloads included. */
export function widenF16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  const words = new Uint32Array(values.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number
    const sign = (half & 0x8000) << 16
    const exponent = (half >>> 10) & 0x1f
    const mantissa = half & 0x3ff
    if (exponent === 0) values[i] = (sign === 0 ? 1 : -1) * mantissa * 2 ** -24
    else words[i] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (mantissa << 13)
  }
  return values
}

/** bfloat16 to float32; exact. */
export function widenBF16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  const words = new Uint32Array(values.buffer)
  for (let i = 0; i < halves.length; i++) words[i] = (halves[i] as number) << 16
  return values
}

/** float32 to binary16, to nearest, ties to even; beyond 65504 by more than half a step comes infinity. */
export function roundToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < halves.length; i++) halves[i] = f16Bits(words[i] as number)
  return halves
}

function f16Bits(word: number): number {
  const sign = (word >>> 16) & 0x8000
  const exponent = ((word >>> 23) & 0xff) - 112
  const mantissa = word & 0x7fffff
  if (exponent === 143) return sign | 0x7c00 | (mantissa === 0 ? 0 : mantissa >>> 13 || 0x200)
  if (exponent >= 31) return sign | 0x7c00
  if (exponent < -10) return sign
  // carries run from the mantissa into the exponent, and from the largest number into infinity
  if (exponent > 0) return sign | roundedShift((exponent << 23) | mantissa, 13)
  return sign | roundedShift(mantissa | 0x800000, 14 - exponent)
}

function roundedShift(bits: number, shift: number): number {
  const kept = bits >>> shift
  const rest = bits & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept
}

/** float32 to bfloat16, to nearest, ties to even. */
export function roundToBF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < halves.length; i++) {
    const word = words[i] as number
    const notANumber = (word & 0x7fffffff) > 0x7f800000
    // a NaN whose payload lies in the lost bits alone would read as infinity
    if (notANumber) halves[i] = (word >>> 16) | ((word & 0x7f0000) === 0 ? 0x40 : 0)
    else halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return halves
}
