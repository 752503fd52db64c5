import { Module } from '@mneme/core-tensor'
import { keep, Tensor, tidy } from '@tensorflow/tfjs-core'

interface Output {
  readonly path: string
  readonly y: Tensor
}

/**
 * The module whose output was the first that is not finite while `forward` ran, as a path: `body.layers.1.mixer`; null if
 * all were finite. What a module calls is done before it, so the innermost is found. Costs a forward, and a copy of
 * every output: for telling what went wrong, not for every step.
 */
export async function firstNonFiniteOutput(model: Module, forward: () => unknown): Promise<string | null> {
  const outputs: Output[] = []
  const undo = [...modulesOf(model, '')].flatMap(([path, module]) => watched(path, module, outputs))
  try {
    tidy(() => {
      forward()
    })
  } finally {
    for (const back of undo) back()
  }
  try {
    for (const { path, y } of outputs) {
      if (!(await y.data()).every(Number.isFinite)) return path === '' ? 'the model' : path
    }
    return null
  } finally {
    for (const { y } of outputs) y.dispose()
  }
}

function* modulesOf(module: Module, path: string): Iterable<[path: string, module: Module]> {
  yield [path, module]
  for (const [name, field] of Object.entries(module)) {
    const items: [string, unknown][] = Array.isArray(field)
      ? field.map((item, i) => [`${name}.${i}`, item])
      : [[name, field]]
    for (const [key, item] of items) {
      if (item instanceof Module) yield* modulesOf(item, path === '' ? key : `${path}.${key}`)
    }
  }
}

/** Puts a `forward` of its own on one module; gives back what takes it off again. */
function watched(path: string, module: Module, outputs: Output[]): (() => void)[] {
  const holder = module as unknown as { forward?: (...given: unknown[]) => unknown }
  const { forward } = holder
  if (typeof forward !== 'function' || Object.hasOwn(module, 'forward')) return []
  holder.forward = (...given) => {
    const result = forward.apply(module, given)
    const y: unknown = result instanceof Tensor ? result : (result as { readonly y?: unknown } | null)?.y
    if (y instanceof Tensor && y.dtype === 'float32') outputs.push({ path, y: keep(y.clone()) })
    return result
  }
  return [() => void Reflect.deleteProperty(module, 'forward')]
}
