import {
  clone,
  engine,
  getKernel,
  type KernelBackend,
  registerGradient,
  registerKernel,
  type Tensor,
  type TensorInfo,
  unregisterKernel,
} from '@tensorflow/tfjs-core'
import { differentiation } from './differentiation.js'
import { accepted, type Carried, kernelNameOf, named, type OpKernel, type PlainSpec, runKernel } from './op.js'

/** The gradients of an op's inputs, by their places, from those of its outputs: the backward kernel's, or else the op's. */
export function opGradients(
  spec: PlainSpec,
  dys: readonly Tensor[],
  saved: readonly Tensor[],
  { $op, $inputs }: Carried,
): Record<string, () => Tensor> {
  const outputNames = Object.keys(spec.outputs)
  const inputs = named($inputs, saved)
  const outputs = named(spec.keepOutputs === false ? [] : outputNames, saved.slice($inputs.length))
  const { grads, fresh } = runBackward(spec, named(outputNames, dys), inputs, outputs, $op)
  // tfjs frees a gradient once it is added to another: what may be one tensor under two names is handed out as clones
  return Object.fromEntries(
    $inputs.flatMap((name, i) =>
      grads[name] ? [[i, () => (fresh ? (grads[name] as Tensor) : clone(grads[name] as Tensor))]] : [],
    ),
  )
}

interface Backward {
  readonly grads: Record<string, Tensor>
  /** Whether every gradient is a tensor of its own. */
  readonly fresh: boolean
}

function runBackward(
  spec: PlainSpec,
  dys: Record<string, Tensor>,
  inputs: Record<string, Tensor>,
  outputs: Record<string, Tensor>,
  attrs: Record<string, unknown>,
): Backward {
  const kernel = accepted(spec.name, engine().backendName, inputs, attrs)
  if (kernel?.backward === undefined) {
    return {
      grads: spec.gradient(dys as never, inputs, outputs as never, attrs) as Record<string, Tensor>,
      fresh: false,
    }
  }
  const differentiable = Object.keys(inputs).filter((name) => (inputs[name] as Tensor).dtype === 'float32')
  const backwardName = `${kernelNameOf(spec)}.backward`
  ensureBackward(spec, backwardName, kernel.backward.bind(kernel))
  const flat = { ...prefixed('dy.', dys), ...prefixed('in.', inputs), ...prefixed('out.', outputs) }
  return {
    grads: named(differentiable, runKernel(backwardName, flat, { $op: attrs, $grads: differentiable })),
    fresh: true,
  }
}

function prefixed(prefix: string, tensors: Record<string, Tensor>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, t]) => [prefix + name, t]))
}

function unprefixed<T>(prefix: string, map: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(map)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, t]) => [name.slice(prefix.length), t]),
  )
}

/** The backward kernel is a tfjs kernel too; its own gradient differentiates the spec's `gradient` (second order). */
function ensureBackward(spec: PlainSpec, backwardName: string, backward: NonNullable<OpKernel['backward']>): void {
  const backendName = engine().backendName
  const known = getKernel(backwardName, backendName)
  if (known) unregisterKernel(backwardName, backendName)
  registerKernel({
    kernelName: backwardName,
    backendName,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { $op, $inputs, $grads } = attrs as unknown as Carried & { $grads: readonly string[] }
      const all = named($inputs, inputs as unknown as Tensor[])
      const grads = backward(
        unprefixed('dy.', all),
        unprefixed('in.', all),
        unprefixed('out.', all),
        $op,
        backend as KernelBackend,
      )
      return $grads.map((name) => grads[name] as TensorInfo)
    },
  })
  registerGradient({
    kernelName: backwardName,
    saveAllInputs: true,
    gradFunc: (dy, saved, attrs) => {
      const { $op, $inputs, $grads } = attrs as unknown as Carried & { $grads: readonly string[] }
      const all = named($inputs, saved)
      const cotangents = Array.isArray(dy) ? dy : [dy]
      const floats = $inputs.filter((name) => (all[name] as Tensor).dtype === 'float32')
      const xs = floats.map((name) => all[name] as Tensor)
      const second = differentiation().vjp(
        () => {
          const grads = spec.gradient(
            unprefixed('dy.', all) as never,
            unprefixed('in.', all),
            unprefixed('out.', all) as never,
            $op,
          )
          return $grads.map((name) => (grads as Record<string, Tensor>)[name] as Tensor)
        },
        xs,
        cotangents,
      )
      return Object.fromEntries(floats.map((name, i) => [$inputs.indexOf(name), () => clone(second[i] as Tensor)]))
    },
  })
}
