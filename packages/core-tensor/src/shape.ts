import type { TensorInfo } from '@tensorflow/tfjs-core'

type Letters<S extends string> = S extends `${infer Head} ${infer Tail}` ? Letters<Head> | Letters<Tail> : S
/** The sizes that a spec such as `'B T D'` binds: `{ B: number, T: number, D: number }`. */
export type Sizes<S extends string> = { readonly [K in Letters<S>]: number }
export type Dims = Readonly<Record<string, number>>

const parsed = new Map<string, readonly string[]>()

/**
 * Names the axes of a tensor, checks them against sizes already known, and returns all sizes by name. The first line of
 * every forward: documentation and check in one. An axis written as a number must have just that size.
 *
 *   const { B, T } = dims('GatedDeltaNet.forward x', x, 'B T D', { D: this.dModel })
 *
 * @throws RangeError naming the argument, the expected and the given shape
 */
export function dims<const S extends string>(
  where: string,
  x: Pick<TensorInfo, 'shape'>,
  spec: S,
  known?: Dims,
): Sizes<S> {
  let axes = parsed.get(spec)
  if (axes === undefined) {
    axes = spec.split(' ')
    parsed.set(spec, axes)
  }
  const sizes: Record<string, number> = {}
  let fits = x?.shape?.length === axes.length
  for (let i = 0; fits && i < axes.length; i++) {
    const axis = axes[i] as string
    const size = x.shape[i] as number
    const expected = known?.[axis] ?? sizes[axis] ?? literal(axis)
    if (expected !== undefined && expected !== size) fits = false
    sizes[axis] = size
  }
  if (!fits) throw new RangeError(mismatch(where, axes, x, known))
  return sizes as Sizes<S>
}

function literal(axis: string): number | undefined {
  const code = axis.charCodeAt(0)
  return code >= 48 && code <= 57 ? Number(axis) : undefined
}

function mismatch(where: string, axes: readonly string[], x: Pick<TensorInfo, 'shape'>, known?: Dims): string {
  const expected = axes.map((axis) => (known?.[axis] === undefined ? axis : `${axis}=${known[axis]}`))
  const got = Array.isArray(x?.shape) ? `[${x.shape.join(', ')}]` : String(x)
  return `${where}: expected [${expected.join(', ')}], got ${got}.`
}

/**
 * Checks an option that counts something, `of` tokens, say.
 *
 * @throws RangeError unless `value` is a whole number, at least `least`
 */
export function wholeNumber(where: string, value: number, of = '', least = 1): void {
  if (Number.isInteger(value) && value >= least) return
  throw new RangeError(`${where}: expected a whole number${of && ` of ${of}`}, at least ${least}, got ${value}.`)
}

/**
 * Size of each of `parts` equal parts of an option `name`.
 *
 * @throws RangeError unless `parts` divides `whole`
 */
export function equalParts(where: string, parts: number, name: string, whole: number): number {
  if (whole % parts === 0) return whole / parts
  throw new RangeError(`${where}: expected a divisor of ${name} = ${whole}, got ${parts}.`)
}

/**
 * How many times `unit`, an option `name`, goes into `value`.
 *
 * @throws RangeError unless it goes a whole number of times
 */
export function timesOf(where: string, value: number, name: string, unit: number): number {
  if (value % unit === 0) return value / unit
  throw new RangeError(`${where}: expected a multiple of ${name} = ${unit}, got ${value}.`)
}
