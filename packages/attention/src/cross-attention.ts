import { dims, HeadMaps, type LinearOptions, type Rng, type State, softmaxAttention } from '@mneme/core-tensor'
import type { Tensor } from '@tensorflow/tfjs-core'

export interface CrossAttentionOptions {
  readonly dModel: number
  /** Width of what is looked at. */
  readonly dContext: number
  readonly nHeads: number
  readonly nKvHeads: number
  readonly dHead: number
  readonly projection?: LinearOptions
}

/** What is looked at, projected once for as many calls as follow. */
export interface ContextKeys {
  readonly [name: string]: State
  /** `[B, S, G, K]` */
  readonly keys: Tensor
  readonly values: Tensor
  /** 1 for keys that may be seen, `[B, S]`; null where all may. */
  readonly mask: Tensor | null
}

/** A bias for every distance between query and key, `[H, R]`, of which column `ahead` is for distance 0. */
export interface DistanceBiases {
  readonly relativeBias: Tensor
  readonly ahead: number
}

/**
 * Softmax attention of a sequence to another, each token to all of it.
 *
 *   o_i = Σ_j softmax_j(q_i·k_j / √K) v_j,   q = W_q x,   k, v = W_k c, W_v c
 *
 * x `[B, T, D]`, c `[B, S, C]`. A row whose context is all padding gives the bias of the output. Keys and values of the
 * context, `[B, S, G, K]`, are made once. Time O(T S H K).
 * Paper: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3.
 */
export class CrossAttention extends HeadMaps {
  constructor(
    private readonly options: CrossAttentionOptions,
    rng: Rng,
  ) {
    super('CrossAttention', options, rng)
  }

  /** c `[B, S, C]`; mask `[B, S]`, 0 for padding. */
  context(c: Tensor, mask?: Tensor): ContextKeys {
    const { B, S } = dims('CrossAttention.context c', c, 'B S C', { C: this.options.dContext })
    if (mask) dims('CrossAttention.context mask', mask, 'B S', { B, S })
    return { keys: this.heads(this.kProj, c), values: this.heads(this.vProj, c), mask: mask ?? null }
  }

  /** x `[B, T, D]` to `[B, T, D]`; with biases by distance where the context is the sequence itself. */
  forward(x: Tensor, { keys, values, mask }: ContextKeys, distances?: DistanceBiases): Tensor {
    dims('CrossAttention.forward x', x, 'B T D', { B: keys.shape[0] as number, D: this.options.dModel })
    const q = this.heads(this.qProj, x)
    const { relativeBias, ahead = 0 } = distances ?? {}
    const { o } = softmaxAttention(
      { q, k: keys, v: values, ...(mask && { keyMask: mask }), ...(relativeBias && { relativeBias }) },
      { causal: false, ahead },
    )
    return this.fromHeads(o)
  }
}
