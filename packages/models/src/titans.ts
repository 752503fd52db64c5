import { type LanguageModel, LanguageModel as Model, Embedding, Linear, type Paper, RMSNorm, Rng, SwiGLU } from '@mneme/core-tensor'
import { MemoryAsContext } from '@mneme/memory/memory-as-context'
import { NeuralMemory } from '@mneme/memory/neural-memory'
import { type DecoderConfig, decoder } from './decoder.js'
import { withoutVectorDecay } from './recipes.js'
import { PortBody } from './titans-port.js'
import { checkpoint } from './titans-checkpoint.js'

export interface TitansConfig extends DecoderConfig {
  /** Memory alone, memory in the context of attention, or the latter in the form of the titans-pytorch port. */
  readonly variant: 'lmm' | 'mac' | 'mac-port'
  /** Heads of the attention, and their width. */
  readonly nHeads: number
  readonly dHead: number
  /** Memories of a layer, and the width of their keys and values. */
  readonly memoryHeads: number
  readonly memoryWidth: number
  /** Layers of a memory's network, and its inner width over `memoryWidth`. */
  readonly memoryDepth: number
  readonly memoryExpansion: number
  /** Whether that network is x + LN(MLP x) ⊙ (1 + γ) rather than the MLP alone. */
  readonly memoryNorm: boolean
  readonly momentum: boolean
  /** Tokens whose gradients are taken at the same weights. */
  readonly chunk: number
  /** Largest step size of a memory. */
  readonly maxLr: number
  /** Tokens that attention sees, and persistent ones that it always sees. */
  readonly segment: number
  readonly persistent: number
  /** Inner width of the feed-forward over two thirds of the model's. */
  readonly ffMult: number
  readonly ropeBase: number
  readonly normEps: number
  /** What only 'lmm' and 'mac' have. */
  readonly paper: {
    readonly lossReduction: 'sum' | 'mean'
    readonly convWidth: number
  }
  /** What only 'mac-port' has. */
  readonly port: {
    /** Long-term tokens behind each segment. */
    readonly longterm: number
    /** Layers that have a memory, counted from 0; null for all. */
    readonly memoryLayers: readonly number[] | null
    readonly sliding: boolean
    readonly gateAttention: boolean
    readonly weightResidual: boolean
    /** Tokens after which gradients are taken at the latest weights; 0 for never. */
    readonly refresh: number
    readonly maxGradNorm: number
    readonly qkNorm: boolean
    readonly readNorm: boolean
    readonly transitionGate: boolean
  }
}

function build(config: TitansConfig): LanguageModel {
  return config.variant === 'mac-port' ? buildPort(config) : buildPaper(config)
}

function buildPaper(config: TitansConfig): LanguageModel {
  const { variant, dModel, memoryHeads, memoryWidth, memoryDepth, memoryExpansion, normEps } = config
  const memory = {
    ...config,
    ...config.paper,
    nHeads: memoryHeads,
    dHead: memoryWidth,
    depth: memoryDepth,
    expansion: memoryExpansion,
    innerNorm: config.memoryNorm,
  }
  return decoder(config, {
    embeddingStd: 0.02,
    norm: new RMSNorm(dModel, normEps),
    layer: (_, rng) => ({
      mixerNorm: new RMSNorm(dModel, normEps),
      mixer:
        variant === 'lmm'
          ? new NeuralMemory(memory, rng)
          : new MemoryAsContext(new NeuralMemory(memory, rng), config, rng),
      mlpNorm: new RMSNorm(dModel, normEps),
      mlp: new SwiGLU(dModel, innerWidth(config), rng),
    }),
  })
}
