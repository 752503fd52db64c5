import { draw, Module, type Pass, parameter, repeatedHeads } from '@mneme/core-tensor'
import { add, mul, slice, sub, type Tensor, type Variable } from '@tensorflow/tfjs-core'

/** What a layer of attention has to do with the values of the first. */
export type ValueRole =
  /** It is the first: it leaves its values to those that follow. */
  | { readonly kind: 'first' }
  /** `first V_1 + own V_n` stand for its own values; learned, these are only where the two numbers start. */
  | { readonly kind: 'mixed'; readonly first: number; readonly own: number; readonly learned: boolean }
  /** It has no values but those of the first. */
  | { readonly kind: 'shared' }
  /** Its output, heads side by side, is pulled by `strength (V_1 - V_n)`. */
  | { readonly kind: 'pulled'; readonly strength: number }

/** What the first layer leaves in `Pass.shared`, `[B, T, G, K]` and `[B, S, G, K]`: its values, of this call and of all. */
const FIRST_VALUES = 'attention.firstValues'
const FIRST_CACHE = 'attention.firstCache'

/**
 * Hands the values of the first layer to those above, before they are cached.
 *
 *   V'_n = λ_1 V_1 + λ_2 V_n,   or V'_n = V_1,   or   U_n = softmax(Q_n K_nᵀ/√K) V_n + λ (V_1 − V_n)
 *
 * Values `[B, T, G, K]`, before grouped heads are repeated. State: none; where values are shared, their layers keep none
 * either. Time O(T G K).
 * Paper: Zhou et al. 2024, arXiv:2410.17897, section 3; the last form: Nguyen et al. 2023, arXiv:2312.00751.
 */
export class ValueResidual extends Module {
  /** λ_1, λ_2 `[2]`, where they are learned. */
  readonly lambda: Variable | null

  constructor(readonly role: ValueRole) {
    super()
    const learned = role.kind === 'mixed' && role.learned ? [role.first, role.own] : null
    let i = 0
    this.lambda = learned && parameter(draw([2], () => learned[i++] as number))
  }

  /** Whether the layer has values of its own. */
  get own(): boolean {
    return this.role.kind !== 'shared'
  }

  /** The values that a layer with its own ones goes by. own `[B, T, G, K]` */
  mixed(own: Tensor, pass?: Pass): Tensor {
    if (this.role.kind === 'first') pass?.shared?.set(FIRST_VALUES, own)
    if (this.role.kind !== 'mixed') return own
    const first = found(pass, FIRST_VALUES)
    if (this.lambda === null) return add(mul(first, this.role.first), mul(own, this.role.own))
    const share = (i: number): Tensor => slice(this.lambda as Variable, [i], [1])
    return add(mul(first, share(0)), mul(own, share(1)))
  }

  /** All values that keys of this layer have, from its own with those of earlier calls. `[B, S, G, K]` */
  all(cached: Tensor | null, pass?: Pass): Tensor {
    if (cached === null) return found(pass, FIRST_CACHE)
    if (this.role.kind === 'first') pass?.shared?.set(FIRST_CACHE, cached)
    return cached
  }

  /** The output of the heads, `[B, T, H, K]`, from that of attention and the layer's own values `[B, T, G, K]`. */
  output(o: Tensor, own: Tensor | null, pass?: Pass): Tensor {
    if (this.role.kind !== 'pulled' || own === null) return o
    const each = (o.shape[2] as number) / (own.shape[2] as number)
    const pull = mul(sub(found(pass, FIRST_VALUES), own), this.role.strength)
    return add(o, repeatedHeads(pull, each))
  }
}

function found(pass: Pass | undefined, name: string): Tensor {
  const first = pass?.shared?.get(name)
  if (first === undefined) {
    throw new Error(
      'ValueResidual: expected the values of a first layer, got none. Put the layer into a stack above one.',
    )
  }
  return first
}
