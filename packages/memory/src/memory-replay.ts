import {
  advance,
  copyState,
  disposeState,
  type State,
  stateTensors,
  type ValueAndGrads,
  valueAndGrads,
} from '@mneme/core-tensor'
import { add, dispose, mul, scalar, sum, type Tensor, type Variable, zerosLike } from '@tensorflow/tfjs-core'

/** A loss over segments with a state that crosses between them; both parts are differentiable and make no noise. */
export interface SegmentedLoss<S extends State, X> {
  /** State before the first segment; may read parameters. */
  begin(): S
  /** Loss of one segment from the memory before it, and the memory after it. */
  segment(input: X, state: S): { readonly loss: Tensor; readonly state: S }
}

/**
 * Sum of the losses of all segments and its exact gradients, in the memory of one segment: states are kept on the way
 * forth, and on the way back each segment is run once more, its own loss joined by what later ones ask of its state.
 *
 *   g_n = 0,   (dθ_t, g_t) = ∇_{θ, M_t} (loss_t + ⟨M_{t+1}, g_{t+1}⟩),   dθ = Σ_t dθ_t + ∇_θ ⟨M_0(θ), g_0⟩
 *
 * Keeps one state per segment. Costs one forward pass more than plain back-propagation. The caller owns what comes back;
 * a parameter that nothing depends on has null.
 * Paper: Wu et al. 2020, arXiv:2010.06891, section 3.4 and algorithm 1.
 */
export function memoryReplay<S extends State, X>(
  problem: SegmentedLoss<S, X>,
  inputs: readonly X[],
  parameters: readonly Variable[],
): ValueAndGrads {
  const states: S[] = [advance(null, () => ({ state: copyState(problem.begin()) })).state]
  let value: Tensor = scalar(0)
  for (const input of inputs) {
    const before = value
    // a copy, so that each state is freed by itself even where a segment hands a tensor on
    const next = advance(before, () => {
      const { loss, state } = problem.segment(input, states.at(-1) as S)
      return { value: add(before, loss), state: copyState(state) }
    })
    value = next.value
    states.push(next.state)
  }
  disposeState(states.pop() as S)
  const sums: (Tensor | null)[] = parameters.map(() => null)
  let asked: Tensor[] = []
  for (let t = inputs.length - 1; t >= 0; t--) {
    const held = stateTensors(states[t] as S)
    const { value: joined, grads } = valueAndGrads(() => {
      const { loss, state } = problem.segment(inputs[t] as X, states[t] as S)
      return asked.length === 0 ? loss : add(loss, product(state, asked))
    }, [...parameters, ...held])
    dispose([joined, ...asked])
    absorb(sums, grads.slice(0, parameters.length))
    asked = held.map((leaf, i) => grads[parameters.length + i] ?? zerosLike(leaf))
    dispose(held)
  }
  const start = valueAndGrads(() => product(problem.begin(), asked), parameters)
  dispose([start.value, ...asked])
  absorb(sums, start.grads)
  return { value, grads: sums }
}

/** The sum over all leaves of a state times what is asked of them. */
function product(state: State, asked: readonly Tensor[]): Tensor {
  const terms = stateTensors(state).map((leaf, i) => sum(mul(leaf, asked[i] as Tensor)))
  return terms.reduce((total, term) => add(total, term), scalar(0))
}

/** Adds gradients to their sums; both are used up. */
function absorb(sums: (Tensor | null)[], grads: readonly (Tensor | null)[]): void {
  for (const [i, g] of grads.entries()) {
    const before = sums[i] ?? null
    if (g === null) continue
    sums[i] = before === null ? g : add(before, g)
    if (before !== null) dispose([before, g])
  }
}
