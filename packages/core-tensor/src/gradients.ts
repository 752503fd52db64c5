import {
  add,
  concat,
  type GradConfig,
  getGradient,
  mul,
  registerGradient,
  stack,
  sum,
  type Tensor,
  tidy,
  type Variable,
  zerosLike,
} from '@tensorflow/tfjs-core'
import { registerDifferentiation } from './differentiation.js'
import { type Attrs, rules } from './gradient-rules.js'
import { opGradients } from './op-backward.js'
import { differentiated, mendTapeOrder } from './tape.js'

/** tfjs has a gradient of its own for this one: while ours stands, so do the others. */
const witness = 'BatchMatMul'
let ours: GradConfig | undefined

/**
 * Registers the gradients of the tfjs ops that this project is written in. tfjs-core alone ships without any in Node,
 * and its own for `cumsum` is wrong off the last axis. `valueAndGrads` and `vjp` call it; to take gradients of a model with
 * tfjs's own functions, call it before. Calling it again is free, unless something has put tfjs's own back, as
 * tfjs-layers does when it is loaded.
 */
export function registerGradients(): void {
  if (ours !== undefined && getGradient(witness) === ours) return
  mendTapeOrder()
  registerDifferentiation({ vjp, opGradients })
  for (const [kernelName, rule] of Object.entries(rules)) {
    const all = rule.save?.[0] === '*'
    registerGradient({
      kernelName,
      ...(all ? { saveAllInputs: true } : { inputsToSave: [...(rule.save ?? [])] }),
      outputsToSave: [rule.saveOutput ?? false],
      gradFunc: (dy, saved, attrs) => rule.grads(dy as Tensor, saved, attrs as unknown as Attrs),
    } as GradConfig)
  }
  registerMultiOutput()
  ours = getGradient(witness)
}

/** tfjs hands over a bare tensor where an op happened to have a single output. */
const listOf = (dys: Tensor | Tensor[]): Tensor[] => (Array.isArray(dys) ? dys : [dys])

function registerMultiOutput(): void {
  registerGradient({
    kernelName: 'SplitV',
    gradFunc: (dys, _saved, attrs) => ({
      x: () => concat(listOf(dys), (attrs as unknown as { axis: number }).axis),
    }),
  })
  registerGradient({
    kernelName: 'Unpack',
    gradFunc: (dys, _saved, attrs) => ({
      value: () => stack(listOf(dys), (attrs as unknown as { axis: number }).axis),
    }),
  })
}

/**
 * Vector-Jacobian product: gradients of `sum_i <f()_i, dys_i>` by each of `xs`. An x that f does not reach gets zeros.
 * May be nested: gradients of gradients come out right.
 */
export function vjp(f: () => readonly Tensor[], xs: readonly Tensor[], dys: readonly Tensor[]): Tensor[] {
  registerGradients()
  const total = (): Tensor =>
    f()
      .map((y, i) => sum(mul(y, dys[i] as Tensor)))
      .reduce((sums, term) => add(sums, term))
  return tidy(() => {
    const { grads } = differentiated(total, xs)
    return xs.map((x, i) => grads[i] ?? zerosLike(x))
  })
}

export interface ValueAndGrads {
  readonly value: Tensor
  /** In the order of the parameters asked for; `null` where the loss does not depend on one. */
  readonly grads: readonly (Tensor | null)[]
}

/**
 * Value of a scalar function and its gradients by parameters (or any tensors). The caller owns and disposes both.
 *
 * @throws RangeError if the value is not a scalar
 */
export function valueAndGrads(f: () => Tensor, parameters: readonly (Variable | Tensor)[]): ValueAndGrads {
  registerGradients()
  const { value, grads } = differentiated(f, parameters)
  if (value.size !== 1) throw new RangeError(`valueAndGrads: expected a scalar loss, got [${value.shape.join(', ')}].`)
  return { value, grads }
}
