import type { Tensor } from '@tensorflow/tfjs-core'

type Named = { readonly [name: string]: Tensor | undefined }

/** That an op's output is a sum of values over tokens, with weights that its other inputs decide. */
export interface Mixing {
  /** The input that is summed: `[B, S, G, V]` with weights by head, or `[B, T, D]` with weights by channel. */
  readonly values: string
  readonly output: string
  /** Inputs through which values of earlier calls come in; without them, the sum is over the tokens of this call. */
  readonly carried: readonly string[]
}

/** What is known of an op without running it. */
export interface WatchedOp {
  readonly name: string
  /** Axes of each input, as an `OpSpec` has them. */
  readonly inputs: Readonly<Record<string, string>>
  readonly mixes?: Mixing
}

/** One call of an op. Its tensors live as long as those of the forward that made it. */
export interface OpCall {
  readonly op: WatchedOp
  readonly inputs: Named
  readonly outputs: Named
  /** The same call with other inputs; it is not watched. */
  again(inputs: Named): Named
}

export interface Watcher {
  /** Called after each op, the outermost where one is made of others. */
  onOp?(call: OpCall): void
  /** Called where a model names a tensor on its way; what it returns goes on in its place. */
  onTap?(name: string, value: Tensor): Tensor
}

let current: Watcher | null = null

/** Runs `f`, which must be synchronous, and tells `watcher` of every op and every tap within. */
export function watch<R>(watcher: Watcher, f: () => R): R {
  const before = current
  current = watcher
  try {
    return f()
  } finally {
    current = before
  }
}

/** Runs an op, and lets whoever watches see the call. */
export function watched<I extends object, O extends object>(op: WatchedOp, inputs: I, run: (inputs: I) => O): O {
  if (current === null) return run(inputs)
  const watcher = current
  // what an op is made of, and what the watcher itself computes, is not watched
  current = null
  try {
    const outputs = run(inputs)
    const again = (given: Named): Named => run(given as I) as Named
    watcher.onOp?.({ op, inputs: inputs as Named, outputs: outputs as Named, again })
    return outputs
  } finally {
    current = watcher
  }
}

/** Names a tensor on its way through a model; whoever watches may put another in its place. */
export function tap(name: string, value: Tensor): Tensor {
  if (current?.onTap === undefined) return value
  const watcher = current
  current = null
  try {
    return watcher.onTap?.(name, value) ?? value
  } finally {
    current = watcher
  }
}
