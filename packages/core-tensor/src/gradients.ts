import {
  add,
  concat,
  engine,
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
import { type Attrs, rules } from './gradient-rules.js'

interface TapeNode {
  readonly inputs: Readonly<Record<string, Tensor>>
}

interface Recorder {
  readonly state: { activeTape: TapeNode[] }
  addTapeNode(name: string, inputs: object, outputs: readonly Tensor[], ...rest: readonly unknown[]): void
  [mended]?: true
}

const mended = Symbol.for('mneme.tapeOrder')

/**
 * tfjs keeps outputs for the backward pass by cloning them, and writes those clones to the tape before the node whose
 * outputs they are. A gradient of a gradient then reaches the clone too late and is lost: silently zero. Here the node
 * is put back in front of them.
 */
function mendTapeOrder(): void {
  const recorder = engine() as unknown as Recorder
  if (recorder[mended]) return
  recorder[mended] = true
  const record = recorder.addTapeNode.bind(recorder)
  recorder.addTapeNode = (name, inputs, outputs, ...rest) => {
    record(name, inputs, outputs, ...rest)
    const tape = recorder.state.activeTape
    const own = new Set(outputs.map(({ id }) => id))
    const readsOwn = ({ inputs: read }: TapeNode): boolean => Object.values(read).some(({ id }) => own.has(id))
    let at = tape.length - 1
    while (at > 0 && readsOwn(tape[at - 1] as TapeNode)) at--
    tape.splice(at, 0, tape.pop() as TapeNode)
  }
}

/** tfjs has a gradient of its own for this one: while ours stands, so do the others. */
const witness = 'BatchMatMul'
let ours: GradConfig | undefined

/**
 * Registers the gradients of the tfjs ops that this project is written in. tfjs-core alone ships without any in Node,
 * and its own for `cumsum` is wrong off the last axis. Happens on first use, never at import; calling it again is free,
 * unless something has put tfjs's own back, as tfjs-layers does when it is loaded.
 */
export function registerGradients(): void {
  if (ours !== undefined && getGradient(witness) === ours) return
  mendTapeOrder()
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
  const { state } = engine()
  // a nested pass that ends while an outer one is propagating would take the outer tape down with it
  const outer = state.activeTape
  try {
    return tidy(() => {
      const { grads } = engine().gradients(
        () =>
          f()
            .map((y, i) => sum(mul(y, dys[i] as Tensor)))
            .reduce((total, term) => add(total, term)),
        [...xs],
        undefined,
        true,
      )
      return xs.map((x, i) => grads[i] ?? zerosLike(x))
    })
  } finally {
    state.activeTape = outer
  }
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
  const { value, grads } = engine().gradients(f, [...parameters], undefined, true)
  if (value.size !== 1) throw new RangeError(`valueAndGrads: expected a scalar loss, got [${value.shape.join(', ')}].`)
  return { value, grads: parameters.map((_, i) => grads[i] ?? null) }
}
