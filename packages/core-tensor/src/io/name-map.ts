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
export function fromStored({ shape, values }: NamedTensor, { squeeze, transpose }: NameRule): NamedTensor {
  if (squeeze !== undefined) return { shape: shape.filter((_, i) => !axesOf(squeeze).includes(i)), values }
  return transpose ? transposed({ shape, values }) : { shape, values }
}

/** From the module's layout to the file's. */
export function toStored({ shape, values }: NamedTensor, { squeeze, transpose }: NameRule): NamedTensor {
  if (squeeze !== undefined) return { shape: axesOf(squeeze).reduce(withAxis, shape), values }
  return transpose ? transposed({ shape, values }) : { shape, values }
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
