import { add, mul, type Tensor } from '@tensorflow/tfjs-core'
import type { Mixed, MixerTraits, Pass, SequenceMixer } from './mixer.js'
import { Module } from './module.js'
import type { TokenMap } from './nn/feed-forward.js'
import type { State } from './state.js'

/** One residual layer: a sequence mixer, then a map of each token, each with its norm. Leave out what is not there. */
export interface LayerParts {
  readonly mixer: SequenceMixer
  readonly mixerNorm?: TokenMap | null
  readonly mlp?: TokenMap | null
  readonly mlpNorm?: TokenMap | null
  /** Before the mixer, without a norm: `x += front(x)`. */
  readonly front?: SequenceMixer | null
}

export interface StackOptions {
  /** `pre`: x += f(norm x). `post`: x = norm(x + f x). */
  readonly norm?: 'pre' | 'post'
  /** What goes by each part is multiplied by this: x α + f(x). */
  readonly residualScale?: number
}

/** A layer of a residual stack. Its state is that of its mixer, or of front and mixer. */
export class ResidualLayer extends Module {
  readonly front: SequenceMixer | null
  readonly mixerNorm: TokenMap | null
  readonly mixer: SequenceMixer
  readonly mlpNorm: TokenMap | null
  readonly mlp: TokenMap | null

  constructor(
    parts: LayerParts,
    private readonly placement: 'pre' | 'post',
    private readonly residualScale = 1,
  ) {
    super()
    this.front = parts.front ?? null
    this.mixerNorm = parts.mixerNorm ?? null
    this.mixer = parts.mixer
    this.mlpNorm = parts.mlpNorm ?? null
    this.mlp = parts.mlp ?? null
  }

  initialState(batch: number): State {
    const mixer = this.mixer.initialState(batch)
    return this.front === null ? mixer : { front: this.front.initialState(batch), mixer }
  }

  forward(x: Tensor, state: State, pass?: Pass): Mixed<State> {
    if (this.front === null) return this.main(x, state, pass)
    const before = state as { readonly front: State; readonly mixer: State }
    const front = this.front.forward(x, before.front, pass)
    const { y, state: mixer } = this.main(add(x, front.y), before.mixer, pass)
    return { y, state: { front: front.state, mixer } }
  }

  private main(x: Tensor, state: State, pass?: Pass): Mixed<State> {
    const pre = this.placement === 'pre'
    const mixed = this.mixer.forward(pre ? apply(this.mixerNorm, x) : x, state, pass)
    const h = pre ? this.past(x, mixed.y) : apply(this.mixerNorm, this.past(x, mixed.y))
    if (this.mlp === null) return { y: h, state: mixed.state }
    const mapped = this.mlp.forward(pre ? apply(this.mlpNorm, h) : h)
    return { y: pre ? this.past(h, mapped) : apply(this.mlpNorm, this.past(h, mapped)), state: mixed.state }
  }

  private past(x: Tensor, change: Tensor): Tensor {
    return add(this.residualScale === 1 ? x : mul(x, this.residualScale), change)
  }

  stateBytes(length: number): number {
    return this.mixer.stateBytes(length) + (this.front?.stateBytes(length) ?? 0)
  }
}

const apply = (map: TokenMap | null, x: Tensor): Tensor => (map === null ? x : map.forward(x))

/** Layers one after the other: itself a sequence mixer. */
export class ResidualStack extends Module implements SequenceMixer<readonly State[]> {
  readonly layers: ResidualLayer[]

  constructor(layers: readonly LayerParts[], options: StackOptions = {}) {
    super()
    this.layers = layers.map((parts) => new ResidualLayer(parts, options.norm ?? 'pre', options.residualScale))
  }

  get traits(): MixerTraits {
    const all = this.layers.flatMap(({ mixer, front }) =>
      front === null ? [mixer.traits] : [mixer.traits, front.traits],
    )
    const cuts = all.flatMap((t) => t.backprop ?? [])
    return {
      causal: all.every((t) => t.causal),
      padding: all.every((t) => t.padding),
      packing: all.every((t) => t.padding || t.packing),
      constantState: all.every((t) => t.constantState),
      ...(cuts.length > 0 && { backprop: Math.min(...cuts) }),
    }
  }

  initialState(batch: number): readonly State[] {
    return this.layers.map((layer) => layer.initialState(batch))
  }

  forward(x: Tensor, state?: readonly State[], pass?: Pass): Mixed<readonly State[]> {
    const before = state ?? this.initialState(x.shape[0] as number)
    const within: Pass = { ...(pass ?? { training: false }), shared: new Map() }
    const after: State[] = []
    let y = x
    for (const [i, layer] of this.layers.entries()) {
      const mixed = layer.forward(
        y,
        before[i] as State,
        within.record ? { ...within, record: within.record.at(`layers.${i}`) } : within,
      )
      y = mixed.y
      after.push(mixed.state)
    }
    return { y, state: after }
  }

  stateBytes(length: number): number {
    return this.layers.reduce((total, layer) => total + layer.stateBytes(length), 0)
  }
}

/** `residualStack([{ mixer, mixerNorm, mlp, mlpNorm }, ...])`: a hybrid decides by layer index what stands in the list. */
export function residualStack(layers: readonly LayerParts[], options?: StackOptions): ResidualStack {
  return new ResidualStack(layers, options)
}
