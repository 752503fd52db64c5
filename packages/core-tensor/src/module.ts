import { type Tensor, tensor, util, Variable, variable } from '@tensorflow/tfjs-core'
import { closest } from './config.js'
import { tellMade } from './parameter-watch.js'

/** Values by name, as a checkpoint holds them. */
export type NamedTensors = Readonly<Record<string, NamedTensor>>
export interface NamedTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array | Int32Array
}

export interface LoadReport {
  readonly loaded: readonly string[]
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  readonly misshapen: readonly {
    readonly name: string
    readonly expected: readonly number[]
    readonly got: readonly number[]
  }[]
}

/**
 * A tree of parameters. Own fields that are Variables, Modules, or arrays of them, are the tree: there is nothing to
 * register. Paths follow the fields: `blocks.0.mixer.qProj.weight`.
 */
export abstract class Module {
  /** Every variable with its path, buffers (not trainable) too; a variable reached twice is listed under each path. */
  *namedParameters(prefix = ''): Iterable<[path: string, parameter: Variable]> {
    for (const [field, value] of Object.entries(this)) yield* walk(prefix === '' ? field : `${prefix}.${field}`, value)
  }

  /** The trainable variables, tied ones once. */
  parameters(): Variable[] {
    return [...this.variables()].filter((v) => v.trainable)
  }

  private variables(): Set<Variable> {
    return new Set(Array.from(this.namedParameters(), ([, v]) => v))
  }

  /** Number of trainable values. */
  parameterCount(): number {
    return this.parameters().reduce((total, v) => total + v.size, 0)
  }

  /** Values by path, read back from the device; a tied variable stands under its first path only. */
  async stateDict(): Promise<Record<string, NamedTensor>> {
    const paths = new Map<Variable, string>()
    for (const [path, v] of this.namedParameters()) if (!paths.has(v)) paths.set(v, path)
    // asked for together: on a GPU each read waits for the queue
    const entries = Array.from(paths, async ([v, path]): Promise<[string, NamedTensor]> => {
      return [path, { shape: v.shape, values: (await v.data()).slice() as Float32Array }]
    })
    return Object.fromEntries(await Promise.all(entries))
  }

  /**
   * Sets variables by path. Nothing is changed unless everything fits, or `strict` is false.
   *
   * @throws RangeError listing every missing, unexpected and misshapen name
   */
  loadStateDict(tensors: NamedTensors, options: { readonly strict?: boolean } = {}): LoadReport {
    const report = this.compare(tensors)
    const problems = describeReport(report)
    if ((options.strict ?? true) && problems.length > 0) {
      throw new RangeError(`loadStateDict: the tensors do not fit this model.\n${problems.join('\n')}`)
    }
    const misshapen = new Set(report.misshapen.map(({ name }) => name))
    for (const [path, v] of this.namedParameters()) {
      const given = tensors[path]
      if (given === undefined || misshapen.has(path)) continue
      const value = tensor(given.values, [...given.shape], v.dtype)
      v.assign(value)
      value.dispose()
    }
    return report
  }

  private compare(tensors: NamedTensors): LoadReport {
    const byVariable = new Map<Variable, string[]>()
    for (const [path, v] of this.namedParameters()) byVariable.set(v, [...(byVariable.get(v) ?? []), path])
    const loaded: string[] = []
    const missing: string[] = []
    const misshapen: { name: string; expected: readonly number[]; got: readonly number[] }[] = []
    const known = new Set<string>()
    for (const [v, paths] of byVariable) {
      for (const path of paths) known.add(path)
      const path = paths.find((p) => p in tensors)
      if (path === undefined) {
        missing.push(paths[0] as string)
        continue
      }
      const got = (tensors[path] as NamedTensor).shape
      if (util.arraysEqual(v.shape, [...got])) loaded.push(path)
      else misshapen.push({ name: path, expected: v.shape, got })
    }
    return { loaded, missing, unexpected: Object.keys(tensors).filter((name) => !known.has(name)), misshapen }
  }

  /** Frees every variable. The module must not be used afterwards. */
  dispose(): void {
    for (const v of this.variables()) if (!v.isDisposed) v.dispose()
  }
}

function* walk(path: string, value: unknown): Iterable<[string, Variable]> {
  if (value instanceof Variable) yield [path, value]
  else if (value instanceof Module) yield* value.namedParameters(path)
  else if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* walk(`${path}.${i}`, item)
}

/** One line for each problem of a load, with the nearest existing name where one is close. */
export function describeReport(report: LoadReport): string[] {
  return [
    ...report.missing.map((name) => `  missing '${name}'${didYouMean(name, report.unexpected)}`),
    ...report.unexpected.map((name) => `  unexpected '${name}'`),
    ...report.misshapen.map(
      ({ name, expected, got }) => `  '${name}': expected [${expected.join(', ')}], got [${got.join(', ')}]`,
    ),
  ]
}

function didYouMean(name: string, candidates: readonly string[]): string {
  const near = closest(name, candidates)
  return near === undefined ? '' : ` (is it '${near}'?)`
}

/** A parameter: takes over `initial` and frees it. Variables are never given names, since tfjs makes those global. */
export function parameter(initial: Tensor, trainable = true): Variable {
  const v = variable(initial, trainable)
  initial.dispose()
  tellMade(v)
  return v
}
