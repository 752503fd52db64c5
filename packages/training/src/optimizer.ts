import { adamW, type Module, type Recipe, squaredNorm } from '@mneme/core-tensor'
import { add, concat, type Scalar, sum, type Tensor, tidy, type Variable, zerosLike } from '@tensorflow/tfjs-core'

export interface AdamWOptions {
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
}

interface Slot {
  readonly path: string
  readonly variable: Variable
  readonly lrScale: number
  readonly weightDecay: number
  m: Tensor
  v: Tensor
}

/**
 * AdamW over the parameters of a model, with the groups of its recipe: a parameter takes the settings of the first group
 * whose pattern its path matches. Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
 */
export class AdamW {
  private readonly slots: Slot[]
  private taken = 0

  constructor(
    model: Module,
    private readonly options: AdamWOptions,
    groups: NonNullable<Recipe['groups']> = [],
  ) {
    const seen = new Set<Variable>()
    this.slots = []
    for (const [path, variable] of model.namedParameters()) {
      if (!variable.trainable || seen.has(variable)) continue
      seen.add(variable)
      const group = groups.find(({ match }) => match.test(path))
      this.slots.push({
        path,
        variable,
        lrScale: group?.lrScale ?? 1,
        weightDecay: group?.weightDecay ?? options.weightDecay,
        m: zerosLike(variable),
        v: zerosLike(variable),
      })
    }
  }

  /** In the order that gradients are expected in. */
  get parameters(): Variable[] {
    return this.slots.map(({ variable }) => variable)
  }

  get paths(): string[] {
    return this.slots.map(({ path }) => path)
  }

  /** Steps taken so far. */
  get steps(): number {
    return this.taken
  }

  /** One update. Gradients are multiplied by `gradScale` first; a parameter without one stays. */
  step(grads: readonly (Tensor | null)[], lr: number, gradScale = 1): void {
    this.taken++
    const { beta1, beta2, eps } = this.options
    for (const [i, slot] of this.slots.entries()) {
      const grad = grads[i]
      if (!grad) continue
      const next = adamW(
        { parameter: slot.variable, grad, m: slot.m, v: slot.v },
        { lr: lr * slot.lrScale, beta1, beta2, eps, weightDecay: slot.weightDecay, step: this.taken, gradScale },
      )
      slot.variable.assign(next.parameter)
      next.parameter.dispose()
      slot.m.dispose()
      slot.v.dispose()
      slot.m = next.m
      slot.v = next.v
    }
  }

  /** Both moments by path, `m.` and `v.` in front. */
  *moments(): Iterable<[name: string, value: Tensor]> {
    for (const { path, m, v } of this.slots) {
      yield [`m.${path}`, m]
      yield [`v.${path}`, v]
    }
  }

  /**
   * Takes over moments and the number of steps taken.
   *
   * @throws RangeError for a moment that is missing or of another shape; then nothing has changed
   */
  restore(moment: (name: string) => Tensor | undefined, steps: number): void {
    const taken = this.slots.map(({ path, m }) => [checked(`m.${path}`, m), checked(`v.${path}`, m)] as const)
    for (const [i, slot] of this.slots.entries()) {
      slot.m.dispose()
      slot.v.dispose()
      ;[slot.m, slot.v] = taken[i] as readonly [Tensor, Tensor]
    }
    this.taken = steps

    function checked(name: string, like: Tensor): Tensor {
      const value = moment(name)
      if (value?.shape.join() === like.shape.join()) return value
      const got = value === undefined ? 'no such moment' : `[${value.shape.join(', ')}]`
      throw new RangeError(`AdamW.restore '${name}': expected [${like.shape.join(', ')}], got ${got}.`)
    }
  }

  /** Frees the moments; the parameters are the model's. */
  dispose(): void {
    for (const { m, v } of this.slots) {
      m.dispose()
      v.dispose()
    }
  }
}

/** Sum of the squares of all gradients, a scalar on the device. */
export function globalSquaredNorm(grads: readonly (Tensor | null)[]): Scalar {
  return tidy(() => {
    const parts = grads.filter((g) => g !== null).map((x) => squaredNorm({ x }).value)
    return sum(parts.length === 1 ? (parts[0] as Tensor) : concat(parts)) as Scalar
  })
}

/** Adds gradients pairwise and frees both addends. */
export function accumulated(total: readonly (Tensor | null)[], grads: readonly (Tensor | null)[]): (Tensor | null)[] {
  return grads.map((grad, i) => {
    const before = total[i] ?? null
    if (before === null || grad === null) return before ?? grad
    const both = add(before, grad)
    before.dispose()
    grad.dispose()
    return both
  })
}
