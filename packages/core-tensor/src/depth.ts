import { add, mul, type Tensor } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from './mixer.js'
import { Module } from './module.js'
import type { TokenMap } from './nn/feed-forward.js'
import type { State } from './state.js'

/** How what a branch gives joins the stream; a gate, say. */
export interface Join extends Module {
  /** What a branch gave, and the stream that it joins, both `[B, T, D]`, to the new stream. */
  forward(branch: Tensor, x: Tensor): Tensor
}

/** One residual layer: a sequence mixer, then a map of each token, each with its norm. Leave out what is not there. */
export interface LayerParts {
  readonly mixer: SequenceMixer
  readonly mixerNorm?: TokenMap | null
  readonly mlp?: TokenMap | null
  readonly mlpNorm?: TokenMap | null
  /** In place of the sum of stream and branch. */
  readonly mixerJoin?: Join | null
  readonly mlpJoin?: Join | null
}

export interface StackOptions {
  /** `pre`: x += f(norm x). `post`: x = norm(x + f x). */
  readonly norm?: 'pre' | 'post'
  /** Of what goes into the first layer. */
  readonly inputNorm?: TokenMap | null
  /** Of what comes out of the last layer. */
  readonly outputNorm?: TokenMap | null
  /** What goes by each part is multiplied by this: x α + f(x). */
  readonly residualScale?: number
}

/** A layer of a residual stack. Its state is that of its mixer. */
export class ResidualLayer extends Module implements SequenceMixer {
  readonly mixerNorm: TokenMap | null
  readonly mixer: SequenceMixer
  readonly mlpNorm: TokenMap | null
  readonly mlp: TokenMap | null
  readonly mixerJoin: Join | null
  readonly mlpJoin: Join | null

  constructor(
    parts: LayerParts,
    private readonly placement: 'pre' | 'post',
    private readonly residualScale = 1,
  ) {
    super()
    this.mixerNorm = parts.mixerNorm ?? null
    this.mixer = parts.mixer
    this.mlpNorm = parts.mlpNorm ?? null
    this.mlp = parts.mlp ?? null
    this.mixerJoin = parts.mixerJoin ?? null
    this.mlpJoin = parts.mlpJoin ?? null
  }

  get traits(): MixerTraits {
    return this.mixer.traits
  }

  initialState(batch: number): State {
    return this.mixer.initialState(batch)
  }

  forward(x: Tensor, state: State = this.initialState(x.shape[0] as number), pass?: Pass): Mixed<State> {
    const pre = this.placement === 'pre'
    const mixed = this.mixer.forward(pre ? apply(this.mixerNorm, x) : x, state, pass)
    const joined = this.join(this.mixerJoin, mixed.y, x)
    const h = pre ? joined : apply(this.mixerNorm, joined)
    if (this.mlp === null) return { y: h, state: mixed.state }
    const mapped = this.mlp.forward(pre ? apply(this.mlpNorm, h) : h)
    const y = this.join(this.mlpJoin, mapped, h)
    return { y: pre ? y : apply(this.mlpNorm, y), state: mixed.state }
  }

  private join(by: Join | null, branch: Tensor, x: Tensor): Tensor {
    if (by !== null) return by.forward(branch, x)
    return add(this.residualScale === 1 ? x : mul(x, this.residualScale), branch)
  }

  stateBytes(length: number): number {
    return this.mixer.stateBytes(length)
  }
}

/** What holds of mixers that pass a sequence on from one to the next. */
export function allOf(all: readonly MixerTraits[]): MixerTraits {
  const cuts = all.flatMap((t) => t.backprop ?? [])
  return {
    causal: all.every((t) => t.causal),
    padding: all.every((t) => t.padding),
    constantState: all.every((t) => t.constantState),
    ...(cuts.length > 0 && { backprop: Math.min(...cuts) }),
    ...(all.some((t) => t.whole) && { whole: true }),
  }
}

const apply = (map: TokenMap | null, x: Tensor): Tensor => (map === null ? x : map.forward(x))

/** Layers one after the other: itself a sequence mixer. */
export class ResidualStack extends Module implements SequenceMixer<readonly State[]> {
  readonly inputNorm: TokenMap | null
  readonly layers: ResidualLayer[]
  readonly outputNorm: TokenMap | null

  constructor(layers: readonly LayerParts[], options: StackOptions = {}) {
    super()
    this.inputNorm = options.inputNorm ?? null
    this.outputNorm = options.outputNorm ?? null
    this.layers = layers.map((parts) => new ResidualLayer(parts, options.norm ?? 'pre', options.residualScale))
  }

  get traits(): MixerTraits {
    return allOf(this.layers.map((layer) => layer.traits))
  }

  initialState(batch: number): readonly State[] {
    return this.layers.map((layer) => layer.initialState(batch))
  }

  forward(x: Tensor, state?: readonly State[], pass?: Pass): Mixed<readonly State[]> {
    const before = state ?? this.initialState(x.shape[0] as number)
    const within: Pass = { ...(pass ?? { training: false }), shared: new Map() }
    const after: State[] = []
    let y = apply(this.inputNorm, x)
    for (const [i, layer] of this.layers.entries()) {
      const mixed = layer.forward(
        y,
        before[i] as State,
        within.record ? { ...within, record: within.record.at(`layers.${i}`) } : within,
      )
      y = mixed.y
      after.push(mixed.state)
    }
    return { y: apply(this.outputNorm, y), state: after }
  }

  stateBytes(length: number): number {
    return this.layers.reduce((total, layer) => total + layer.stateBytes(length), 0)
  }
}

/** `residualStack([{ mixer, mixerNorm, mlp, mlpNorm }, ...])`: a hybrid decides by layer index what stands in the list. */
export function residualStack(layers: readonly LayerParts[], options?: StackOptions): ResidualStack {
  return new ResidualStack(layers, options)
}
