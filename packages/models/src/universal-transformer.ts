import { SoftmaxAttention } from '@mneme/attention/softmax-attention'
import {
  constant,
  dims,
  equalParts,
  FeedForward,
  type LanguageModel,
  LayerNorm,
  Linear,
  type Mixed,
  type MixerTraits,
  Module,
  normal,
  normalInit,
  type Paper,
  type Pass,
  parameter,
  type ResidualLayer,
  type Rng,
  relu,
  rowByRow,
  type SequenceMixer,
  type State,
  sinusoids,
  withDefaults,
} from '@mneme/core-tensor'
import {
  add,
  cast,
  greater,
  less,
  mul,
  sigmoid,
  slice,
  sub,
  type Tensor,
  type Variable,
  zeros,
} from '@tensorflow/tfjs-core'
import { type DecoderConfig, decoder } from './decoder.js'
import { ifUsed } from './if-used.js'
import { vectors } from './recipes.js'

export interface UniversalTransformerConfig extends Omit<DecoderConfig, 'nLayers'> {
  /** Times that the block is applied, at most. */
  readonly steps: number
  readonly nHeads: number
  /** Inner width of the transition. */
  readonly dInner: number
  /** `post`, as in the paper: LN(x + f x); `pre`, as in the authors' code, with a norm at the end. */
  readonly norm: 'pre' | 'post'
  /** The signal of a step: sines as for positions, or a learned vector. */
  readonly stepSignal: 'sinusoid' | 'learned'
  /**
   * How states of the steps make the output: the last alone; or weighted until a token has halted, as a running mix
   * (`mixed`, the authors' code) or as a sum (`sum`, Graves 2016).
   */
  readonly halting: 'none' | 'mixed' | 'sum'
  /** A token halts when its probabilities add up to more than 1 less this. */
  readonly haltEps: number
  readonly haltBias: number
  readonly normEps: number
  readonly initStd: number
}

interface UniversalState {
  readonly [name: string]: State
  readonly position: number
  /** Of the block, at each step. */
  readonly steps: readonly State[]
}

/** Where each token stands in its halting: all `[B, T, 1]` but `out`. */
interface Halting {
  /** Probability used up so far. */
  readonly used: Tensor
  readonly remainder: Tensor
  /** Steps taken. */
  readonly count: Tensor
  /** `[B, T, D]` */
  readonly out: Tensor
}

/** One block applied again and again, each time with signals of position and step added. */
export class UniversalStack extends Module implements SequenceMixer<UniversalState> {
  readonly stepSignal: Variable | null
  readonly halt: Linear | null

  constructor(
    private readonly config: UniversalTransformerConfig,
    readonly block: ResidualLayer,
    readonly outputNorm: LayerNorm | null,
    rng: Rng,
  ) {
    super()
    const { dModel: D, steps, stepSignal, halting, haltBias } = config
    if (D % 2 !== 0) throw new RangeError(`universal-transformer dModel: expected an even width, got ${D}.`)
    this.stepSignal = stepSignal === 'learned' ? parameter(normal(rng, [steps, D], 1)) : null
    const biasInit = (_: Rng, shape: readonly number[]): Tensor => constant(shape, haltBias)
    this.halt = halting === 'none' ? null : new Linear(D, 1, rng, { init: normalInit(config.initStd), biasInit })
  }

  get traits(): MixerTraits {
    return { ...this.block.traits, padding: true }
  }

  initialState(batch: number): UniversalState {
    return { position: 0, steps: Array.from({ length: this.config.steps }, () => this.block.initialState(batch)) }
  }

  forward(x: Tensor, state?: UniversalState, pass?: Pass): Mixed<UniversalState> {
    const { dModel: D, steps, halting } = this.config
    const { B, T } = dims('UniversalStack.forward x', x, 'B T D', { D })
    const apart = rowByRow(this, x, state, pass)
    if (apart !== null) return apart
    const before = state ?? this.initialState(B)
    const positions = waves(before.position, T, D)
    const none = zeros([B, T, 1])
    let tokens: Halting = { used: none, remainder: none, count: none, out: zeros([B, T, D]) }
    let s = x
    const after: State[] = []
    for (let t = 0; t < steps; t++) {
      s = add(add(s, positions), this.signalOf(t))
      const halted = this.halt === null ? null : haltingStep(tokens, sigmoid(this.halt.forward(s)), this.config.haltEps)
      const mixed = this.block.forward(s, before.steps[t] as State, pass)
      s = mixed.y
      after.push(mixed.state)
      if (halted !== null) {
        const kept = halting === 'sum' ? tokens.out : mul(tokens.out, sub(1, halted.weight))
        tokens = { ...halted.tokens, out: add(mul(s, halted.weight), kept) }
      }
    }
    if (this.halt !== null) {
      pass?.record?.record('steps', tokens.count)
      pass?.record?.record('ponder', add(tokens.count, tokens.remainder))
    }
    const y = this.halt === null ? s : tokens.out
    return {
      y: this.outputNorm === null ? y : this.outputNorm.forward(y),
      state: { position: before.position + T, steps: after },
    }
  }

  private signalOf(t: number): Tensor {
    const { dModel: D } = this.config
    return this.stepSignal === null ? waves(t, 1, D) : slice(this.stepSignal, [t, 0], [1, D])
  }

  stateBytes(length: number): number {
    return this.config.steps * this.block.stateBytes(length)
  }
}

/** One step of halting, by the probabilities of this step: how much its state weighs, and what is used up then. */
export function haltingStep(
  before: Omit<Halting, 'out'>,
  p: Tensor,
  eps: number,
): { weight: Tensor; tokens: Omit<Halting, 'out'> } {
  const yes = (x: Tensor): Tensor => cast(x, 'float32')
  const running = yes(less(before.used, 1))
  const ends = mul(yes(greater(add(before.used, mul(p, running)), 1 - eps)), running)
  const runs = sub(running, ends)
  const used = add(before.used, mul(p, runs))
  const left = mul(ends, sub(1, used))
  const weight = add(mul(p, runs), left)
  const tokens = {
    used: add(used, left),
    remainder: add(before.remainder, left),
    count: add(before.count, running),
  }
  return { weight, tokens }
}

/** Signals of the positions from one on, `[T, D]`. */
function waves(position: number, T: number, D: number): Tensor {
  return sinusoids(
    Array.from({ length: T }, (_, i) => position + i),
    D,
  )
}

function build(config: UniversalTransformerConfig): LanguageModel {
  const { dModel, nHeads, dInner, norm, normEps, initStd } = config
  const init = normalInit(initStd)
  const projection = { bias: false, init }
  const dHead = equalParts('nHeads', nHeads, 'dModel', dModel)
  const attention = { dModel, nHeads, nKvHeads: nHeads, dHead, window: 0, rotary: null, projection }
  return decoder(
    { ...config, nLayers: 1 },
    {
      embeddingStd: dModel ** -0.5,
      embeddingScale: Math.sqrt(dModel),
      headStd: initStd,
      norm: null,
      stack: { norm },
      layer: (_, rng) => ({
        mixerNorm: new LayerNorm(dModel, normEps),
        mixer: new SoftmaxAttention(attention, rng),
        mlpNorm: new LayerNorm(dModel, normEps),
        mlp: new FeedForward(dModel, dInner, rng, { init }, relu),
      }),
      around: (body, rng) => {
        const outputNorm = norm === 'pre' ? new LayerNorm(dModel, normEps) : null
        const [block] = body.layers as [ResidualLayer]
        return new UniversalStack(config, block, outputNorm, rng) as unknown as SequenceMixer
      },
    },
  )
}

const defaults: UniversalTransformerConfig = {
  vocabulary: 256,
  dModel: 64,
  steps: 6,
  nHeads: 4,
  dInner: 256,
  norm: 'post',
  stepSignal: 'sinusoid',
  halting: 'none',
  haltEps: 0.01,
  haltBias: 1,
  normEps: 1e-6,
  initStd: 0.1,
  tieEmbeddings: true,
  seed: 0,
}

const tiny: UniversalTransformerConfig = /* @__PURE__ */ ifUsed(() => ({
  ...defaults,
  vocabulary: 13,
  dModel: 6,
  steps: 3,
  nHeads: 2,
  dInner: 8,
  halting: 'mixed',
  haltBias: -0.5,
  initStd: 0.4,
}))

/** Small configurations of what `tiny` does not reach, by name, for the laws. */
export const moreTiny: Readonly<Record<string, UniversalTransformerConfig>> = /* @__PURE__ */ ifUsed(() => ({
  'learned steps, norms in front, no halting': { ...tiny, stepSignal: 'learned', norm: 'pre', halting: 'none' },
  'halting adds up': { ...tiny, halting: 'sum', tieEmbeddings: false },
}))

/**
 * Universal transformer: Dehghani et al. 2018, arXiv:1807.03819. `config` is laid over the defaults.
 *
 * @throws RangeError for a key that does not exist
 */
export function universalTransformer(config: Partial<UniversalTransformerConfig> = {}): LanguageModel {
  return build(withDefaults('universalTransformer', defaults, config))
}

const paper: Paper<UniversalTransformerConfig, LanguageModel> = {
  card: {
    key: 'universal-transformer',
    title: 'Universal Transformers',
    authors: 'Dehghani, Gouws, Vinyals, Uszkoreit, Kaiser',
    year: 2018,
    arxiv: '1807.03819',
    kind: 'language model',
    family: 'attention',
    equation:
      'A^t = \\mathrm{LN}(H^{t-1} + P^t + \\mathrm{MHSA}(H^{t-1} + P^t)), \\quad H^t = \\mathrm{LN}(A^t + \\mathrm{FFN}(A^t))',
    state: 'keys and values of every token at each of R steps, 2 R T D values',
    cost: 'O(R (D² + T D))',
    differs: [
      'A decoder alone. The transition is the feed-forward, not the separable convolution.',
      "Sines of positions and steps stand beside their cosines in halves of the width, as in the authors' code; frequencies are those of the paper.",
      'With halting, tokens that have halted go on being transformed, which others see; their output stays, as in the code. All steps are run.',
      'Steps taken and what remains are recorded (`ponder`); training does not add them to the loss.',
      'No dropout.',
    ],
    claim:
      'Reversal of 10 to 20 symbols, read at 40, D = 64: more right than a transformer of equal depth and one of equal parameters.',
  },
  config: defaults,
  tiny,
  recipe: {
    lr: 1e-3,
    weightDecay: 0.01,
    groups: [vectors, { match: /\.stepSignal$/, weightDecay: 0 }],
  },
  build,
}

export default paper
