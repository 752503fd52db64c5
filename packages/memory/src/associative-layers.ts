import {
  type AcrossSegments,
  allOf,
  type Carry,
  dims,
  everyRow,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  type Pass,
  parameter,
  type Rng,
  rowByRow,
  type SequenceMixer,
  type State,
  type TokenMap,
  wholeNumber,
} from '@mneme/core-tensor'
import { add, type Tensor, type Variable } from '@tensorflow/tfjs-core'
import type { AssociativeMemory, AssociativeState } from './associative-memory.js'

export interface AssociativeLayerState {
  readonly [name: string]: State
  readonly memory: AssociativeState
  /** Of the layer inside, in the open segment. */
  readonly inner: State
}

/** A layer that reads its memory before, and writes it with what it makes of the last tokens of a segment. */
export class AssociativeLayer extends Module {
  constructor(
    readonly memory: AssociativeMemory,
    readonly layer: SequenceMixer,
  ) {
    super()
  }

  /** That of the layer within, and an empty memory. */
  initialState(batch: number): AssociativeLayerState {
    return { memory: this.memory.initialState(batch), inner: this.layer.initialState(batch) }
  }

  /** `[B, T, D]` to `[B, T, D]`: the layer, over tokens to which what the memory recalls is added. */
  forward(x: Tensor, { memory, inner }: AssociativeLayerState, pass?: Pass): Mixed<AssociativeLayerState> {
    dims('AssociativeLayer.forward x', x, 'B T D', { D: this.memory.dModel })
    const recalled = this.memory.read(memory, x).y
    pass?.record?.record('recalled', recalled)
    const mixed = this.layer.forward(add(x, recalled), inner, pass)
    return { y: mixed.y, state: { memory, inner: mixed.state } }
  }

  /** The tokens behind a segment: what the layer makes of them is written. */
  end(x: Tensor, state: AssociativeLayerState, pass?: Pass): Mixed<AssociativeLayerState> {
    const { y } = this.forward(x, state, pass)
    const memory = this.memory.write(state.memory, { h: y })
    return { y, state: { memory, inner: this.layer.initialState(x.shape[0] as number) } }
  }
}

/**
 * Layers with an associative memory each, which outlasts segments.
 *
 *   x_l = f_l(x_{l-1} + read_l(x_{l-1})),   and of the tokens behind a segment   A_l ← write_l(A_l, x_l)
 *
 * x `[B, T, D]`. To be run over segments, with tokens behind them; in the first, every read is 0. State: the memories,
 * `[B, F, D]` and `[B, F]` a layer, constant in T, and what the layers keep of the open segment. Time: that of the layers,
 * and a read of O(F D) a token and layer.
 * Paper: Rodkin et al. 2024, arXiv:2407.04841, section 2.
 */
export class AssociativeLayers extends Module implements SequenceMixer<readonly AssociativeLayerState[]> {
  readonly acrossSegments: AcrossSegments<readonly AssociativeLayerState[]> = {
    end: (after, state, pass) =>
      this.each(after, (layer, x, i) => layer.end(x, state[i] as AssociativeLayerState, pass)),
    bytes: () => this.layers.reduce((total, { memory }) => total + memory.stateBytes(), 0),
  }

  constructor(
    readonly layers: readonly AssociativeLayer[],
    readonly outputNorm: TokenMap | null = null,
  ) {
    super()
  }

  get traits(): MixerTraits {
    return allOf(this.layers.map(({ layer }) => layer.traits))
  }

  initialState(batch: number): readonly AssociativeLayerState[] {
    return this.layers.map((layer) => layer.initialState(batch))
  }

  forward(x: Tensor, state?: readonly AssociativeLayerState[], pass?: Pass): Mixed<readonly AssociativeLayerState[]> {
    // a document that starts anew has to find its memories empty
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(x.shape[0] as number)
    return this.each(x, (layer, y, i) => {
      const record = pass?.record?.at(`layers.${i}`)
      return layer.forward(y, before[i] as AssociativeLayerState, pass && { ...pass, ...(record && { record }) })
    })
  }

  private each(
    x: Tensor,
    run: (layer: AssociativeLayer, x: Tensor, index: number) => Mixed<AssociativeLayerState>,
  ): Mixed<readonly AssociativeLayerState[]> {
    let y = x
    const state = this.layers.map((layer, i) => {
      const mixed = run(layer, y, i)
      y = mixed.y
      return mixed.state
    })
    return { y: this.outputNorm === null ? y : this.outputNorm.forward(y), state }
  }

  stateBytes(length: number): number {
    return this.acrossSegments.bytes() + this.layers.reduce((total, { layer }) => total + layer.stateBytes(length), 0)
  }
}

/**
 * Learned vectors behind every segment, the same ones each time, `[M, D]`: what is to be remembered gathers in them. A
 * segment of L tokens costs what L + M cost. Paper: Rodkin et al. 2024, arXiv:2407.04841, section 2.
 */
export class TrailingTokens extends Module implements Carry<null> {
  readonly front = 0
  readonly tokens: Variable
  /** Added to them; null where they are placed like the tokens of a segment. */
  readonly positions: Variable | null

  /** `std` is the deviation of the initial tokens; that of the token embedding keeps both of one size. */
  constructor(
    private readonly count: number,
    private readonly dModel: number,
    rng: Rng,
    { std = 1, positions = false }: { readonly std?: number; readonly positions?: boolean } = {},
  ) {
    super()
    wholeNumber('TrailingTokens count', count)
    this.tokens = parameter(normal(rng, [count, dModel], std))
    this.positions = positions ? parameter(normal(rng, [count, dModel], 1)) : null
  }

  /** Nothing: the tokens are the same for every segment. */
  initialState(): null {
    return null
  }

  before(): null {
    return null
  }

  after(_: null, batch: number): Tensor {
    const placed = this.positions === null ? this.tokens : add(this.tokens, this.positions)
    return everyRow(placed, batch)
  }

  update(written: Tensor | null): null {
    if (written) dims('TrailingTokens.update written', written, 'B M D', { M: this.count, D: this.dModel })
    return null
  }

  stateBytes(): number {
    return 0
  }
}
