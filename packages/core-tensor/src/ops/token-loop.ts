import { add, mul, stack, sub, type Tensor, unstack } from '@tensorflow/tfjs-core'
import { flags } from './along-time.js'

/** What a loop over tokens steps over. */
export interface LoopGaps {
  /** 1 where a token starts from an empty state, `[B, T]`. */
  readonly resets?: Tensor
  /** 0 at padding, which leaves the state alone, `[B, T]`. */
  readonly mask?: Tensor
}

/**
 * A recurrence that no scan can do, token by token: `step` takes what is projected from a token, `[B, P]`, and a state of
 * parts `[B, E]` to the next state. Gives every part after every token, `[B, T, E]`.
 */
export function tokenLoop(
  projected: Tensor,
  state: readonly Tensor[],
  { resets, mask }: LoopGaps,
  step: (projected: Tensor, state: readonly Tensor[]) => readonly Tensor[],
): Tensor[] {
  const starts = resets && unstack(flags(resets), 1)
  const present = mask && unstack(flags(mask), 1)
  const past: (readonly Tensor[])[] = []
  let current = state
  for (const [t, token] of unstack(projected, 1).entries()) {
    const start = starts?.[t]
    const before = start ? current.map((part) => mul(part, sub(1, start))) : current
    const after = step(token, before)
    const there = present?.[t]
    // where nothing is there, the state is exactly the one before
    current = there ? after.map((part, i) => add(mul(part, there), mul(before[i] as Tensor, sub(1, there)))) : after
    past.push(current)
  }
  return state.map((_, i) =>
    stack(
      past.map((parts) => parts[i] as Tensor),
      1,
    ),
  )
}
