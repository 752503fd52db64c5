import type { NamedTensor } from '../module.js'
import type { NameRule } from '../paper.js'

/** A parameter's place in a file, and how its values lie there. */
export interface StoredName {
  readonly name: string
  readonly rule: NameRule
}

/**
 * Where each parameter of a module stands in a published file. A placeholder such as `{i}` in a rule's path stands for
 * one index, and is put in the same place of the name.
 *
 * @throws Error for a path that no rule covers
 */
export function storedNames(paths: Iterable<string>, rules: readonly NameRule[]): Map<string, StoredName> {
  const matchers = rules.map((rule) => ({ rule, ...matcherOf(rule.path) }))
  const names = new Map<string, StoredName>()
  for (const path of paths) {
    for (const { rule, pattern, keys } of matchers) {
      const match = pattern.exec(path)
      if (match === null) continue
      const name = keys.reduce((text, key, i) => text.replaceAll(`{${key}}`, match[i + 1] as string), rule.name)
      names.set(path, { name, rule })
      break
    }
    if (!names.has(path)) throw new Error(`storedNames: expected a rule for every parameter, got none for '${path}'.`)
  }
  return names
}

function matcherOf(path: string): { pattern: RegExp; keys: string[] } {
  const keys: string[] = []
  const source = path.split(/\{(\w+)\}/).map((part, i) => {
    if (i % 2 === 0) return part.replace(/[.*+?^$()[\]\\|]/g, '\\$&')
    keys.push(part)
    return '(\\d+)'
  })
  return { pattern: new RegExp(`^${source.join('')}$`), keys }
}

/** From the file's layout to the module's. */
export function fromStored(stored: NamedTensor, { squeeze, transpose, rows, stack }: NameRule): NamedTensor {
  const { shape, values } = stack === undefined ? stored : inStack(stored, stack)
  if (squeeze !== undefined) return { shape: shape.filter((_, i) => !axesOf(squeeze).includes(i)), values }
  const upright = transpose ? transposed({ shape, values }) : { shape, values }
  if (rows === undefined) return upright
  const [from, to] = rows
  const width = upright.values.length / (upright.shape[0] as number)
  return { shape: [to - from, ...upright.shape.slice(1)], values: upright.values.slice(from * width, to * width) }
}

function inStack({ shape, values }: NamedTensor, [index, of]: readonly [number, number]): NamedTensor {
  const size = values.length / of
  return { shape: shape.slice(1), values: values.slice(index * size, (index + 1) * size) }
}

/** Shape in the file of a parameter of this shape. */
export function storedShape(shape: readonly number[], { stack, ...rule }: NameRule): number[] {
  if (stack !== undefined) return [stack[1], ...storedShape(shape, rule)]
  const { squeeze, transpose, rows } = rule
  if (squeeze !== undefined) return [...axesOf(squeeze).reduce(withAxis, shape)]
  const whole = rows === undefined ? [...shape] : [rows[2], ...shape.slice(1)]
  return transpose ? whole.reverse() : whole
}

/**
 * The tensors of a file from the parameters of a module, by the places that `storedNames` found.
 *
 * @throws Error if the parts of a tensor that several parameters share are not all there, once each
 */
export function toStored(
  parameters: Readonly<Record<string, NamedTensor>>,
  places: ReadonlyMap<string, StoredName>,
): Map<string, NamedTensor> {
  const parts = new Map<string, Share[]>()
  for (const [path, tensor] of Object.entries(parameters)) {
    const { name, rule } = places.get(path) as StoredName
    parts.set(name, [...(parts.get(name) ?? []), { tensor, rule }])
  }
  return new Map(
    Array.from(parts, ([name, shares]) => {
      const [{ rule }] = shares as [Share]
      return [name, rule.stack === undefined ? wholeOf(name, shares) : stacked(name, shares)]
    }),
  )
}

interface Share {
  readonly tensor: NamedTensor
  readonly rule: NameRule
}

function wholeOf(name: string, shares: readonly Share[]): NamedTensor {
  const [{ rule, tensor }] = shares as [Share]
  const whole = rule.rows === undefined ? tensor : joinedRows(name, shares)
  const upright = rule.transpose ? transposed(whole) : whole
  return { shape: storedShape(tensor.shape, rule), values: upright.values }
}

function stacked(name: string, shares: readonly Share[]): NamedTensor {
  const ordered = [...shares].sort((a, b) => (a.rule.stack?.[0] ?? 0) - (b.rule.stack?.[0] ?? 0))
  const [{ rule, tensor }] = ordered as [Share]
  const of = rule.stack?.[1] ?? 0
  const places = ordered.map((share) => share.rule.stack?.[0])
  if (places.length !== of || places.some((place, i) => place !== i)) {
    throw new Error(`toStored '${name}': expected a stack of ${of}, got places ${places.join(', ')}.`)
  }
  const values = new Float32Array(of * tensor.values.length)
  for (const [i, share] of ordered.entries()) {
    const { stack: _, ...alone } = share.rule
    values.set(wholeOf(name, [{ tensor: share.tensor, rule: alone }]).values, i * tensor.values.length)
  }
  return { shape: storedShape(tensor.shape, rule), values }
}

function joinedRows(name: string, shares: readonly Share[]): NamedTensor {
  const ordered = [...shares].sort((a, b) => (a.rule.rows?.[0] ?? 0) - (b.rule.rows?.[0] ?? 0))
  let next = 0
  for (const { rule } of ordered) {
    if (rule.rows?.[0] !== next)
      throw new Error(`toStored '${name}': expected rows from ${next}, got ${rule.rows?.[0]}.`)
    next = rule.rows[1]
  }
  const [first] = ordered as [Share]
  const of = first.rule.rows?.[2]
  if (next !== of) throw new Error(`toStored '${name}': expected ${of} rows, got ${next}.`)
  const values = new Float32Array(ordered.reduce((total, { tensor }) => total + tensor.values.length, 0))
  let at = 0
  for (const { tensor } of ordered) {
    values.set(tensor.values, at)
    at += tensor.values.length
  }
  return { shape: [of, ...first.tensor.shape.slice(1)], values }
}

const axesOf = (squeeze: number | readonly number[]): readonly number[] => [squeeze].flat()

/** With an axis of one at `axis`. */
const withAxis = (shape: readonly number[], axis: number): number[] => [
  ...shape.slice(0, axis),
  1,
  ...shape.slice(axis),
]

function transposed({ shape, values }: NamedTensor): NamedTensor {
  const [rows, columns] = shape as [number, number]
  const turned = values.slice()
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j] as number
  }
  return { shape: [columns, rows], values: turned }
}
