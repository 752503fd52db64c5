import {
  allOf,
  dims,
  type Mixed,
  type MixerTraits,
  Module,
  type Pass,
  RMSNorm,
  type SequenceMixer,
  type State,
} from '@mneme/core-tensor'
import { mul, sigmoid, type Tensor } from '@tensorflow/tfjs-core'

export interface MemoryAndAttentionState {
  readonly [name: string]: State
  readonly memory: State
  readonly attention: State
}

/** A long-term memory and an attention of few tokens, which see one sequence. */
abstract class MemoryAndAttention extends Module implements SequenceMixer<MemoryAndAttentionState> {
  constructor(
    readonly memory: SequenceMixer,
    readonly attention: SequenceMixer,
    protected readonly dModel: number,
  ) {
    super()
  }

  get traits(): MixerTraits {
    return allOf([this.memory.traits, this.attention.traits])
  }

  initialState(batch: number): MemoryAndAttentionState {
    return { memory: this.memory.initialState(batch), attention: this.attention.initialState(batch) }
  }

  abstract forward(x: Tensor, state?: MemoryAndAttentionState, pass?: Pass): Mixed<MemoryAndAttentionState>

  stateBytes(length: number): number {
    return this.memory.stateBytes(length) + this.attention.stateBytes(length)
  }
}

/**
 * Attention gated by a long-term memory beside it (MAG).
 *
 *   o = norm(Attn(x)) ⊙ sigmoid(norm(M(x)))
 *
 * All `[B, T, D]`. State: those of both. Time: those of both.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, section 4.2.
 * Differs: the paper leaves the gate's nonlinearity open; it is a sigmoid of the normed memory.
 */
export class MemoryAsGate extends MemoryAndAttention {
  readonly attentionNorm: RMSNorm
  readonly memoryNorm: RMSNorm

  constructor(memory: SequenceMixer, attention: SequenceMixer, options: { dModel: number; normEps: number }) {
    super(memory, attention, options.dModel)
    this.attentionNorm = new RMSNorm(options.dModel, options.normEps)
    this.memoryNorm = new RMSNorm(options.dModel, options.normEps)
  }

  /** `[B, T, D]` to `[B, T, D]`, attention gated by the memory. */
  forward(x: Tensor, state?: MemoryAndAttentionState, pass?: Pass): Mixed<MemoryAndAttentionState> {
    const { B } = dims('MemoryAsGate.forward x', x, 'B T D', { D: this.dModel })
    const before = state ?? this.initialState(B)
    const attended = this.attention.forward(x, before.attention, pass)
    const recalled = this.memory.forward(x, before.memory, pass)
    const gate = sigmoid(this.memoryNorm.forward(recalled.y))
    pass?.record?.record('gate', gate)
    return {
      y: mul(this.attentionNorm.forward(attended.y), gate),
      state: { memory: recalled.state, attention: attended.state },
    }
  }
}

/**
 * Attention to what a long-term memory below it gives (MAL): `o = Attn(M(x))`, all `[B, T, D]`.
 *
 * State: those of both. Time: those of both.
 * Paper: Behrouz et al. 2025, arXiv:2501.00663, section 4.3.
 */
export class MemoryAsLayer extends MemoryAndAttention {
  /** `[B, T, D]` to `[B, T, D]`, the memory first and attention over what it gave. */
  forward(x: Tensor, state?: MemoryAndAttentionState, pass?: Pass): Mixed<MemoryAndAttentionState> {
    const { B } = dims('MemoryAsLayer.forward x', x, 'B T D', { D: this.dModel })
    const before = state ?? this.initialState(B)
    const recalled = this.memory.forward(x, before.memory, pass)
    const attended = this.attention.forward(recalled.y, before.attention, pass)
    return { y: attended.y, state: { memory: recalled.state, attention: attended.state } }
  }
}
