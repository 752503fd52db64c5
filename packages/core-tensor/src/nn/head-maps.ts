import { expandDims, mul, ones, reshape, type Tensor } from '@tensorflow/tfjs-core'
import { Module } from '../module.js'
import type { Rng } from '../rng.js'
import { timesOf } from '../shape.js'
import { Linear, type LinearOptions } from './linear.js'

export interface HeadMapsOptions {
  readonly dModel: number
  readonly nHeads: number
  /** Heads of keys and values, each of which serves nHeads / nKvHeads query heads; as many as there are if absent. */
  readonly nKvHeads?: number
  readonly dHead: number
  /** Width of what keys and values are made of; that of the model if absent. */
  readonly dContext?: number
  /** No bias if absent. */
  readonly projection?: LinearOptions
  /** False for a bias of keys that nothing depends on. */
  readonly keyBiasTrainable?: boolean
}

/** Each head of `[B, T, G, K]` `times` times in a row. */
export function repeatedHeads(x: Tensor, times: number): Tensor {
  if (times === 1) return x
  const [B, T, G, K] = x.shape as [number, number, number, number]
  return reshape(mul(expandDims(x, 3), ones([1, 1, 1, times, 1])), [B, T, G * times, K])
}

/** Linear maps to the queries, keys and values of heads, and from heads back: what attention of any kind stands on. */
export abstract class HeadMaps extends Module {
  /** `[H K, D]` */
  readonly qProj: Linear
  /** `[G K, D]` */
  readonly kProj: Linear
  readonly vProj: Linear
  /** `[D, H K]` */
  readonly oProj: Linear
  private readonly dHead: number

  /** @throws RangeError naming `where` unless nHeads is a multiple of nKvHeads */
  constructor(where: string, options: HeadMapsOptions, rng: Rng) {
    super()
    const { dModel, nHeads, nKvHeads = nHeads, dHead, dContext = dModel, projection = { bias: false } } = options
    timesOf(`${where} nHeads`, nHeads, 'nKvHeads', nKvHeads)
    const { keyBiasTrainable: biasTrainable = true } = options
    this.qProj = new Linear(dModel, nHeads * dHead, rng, projection)
    this.kProj = new Linear(dContext, nKvHeads * dHead, rng, { ...projection, biasTrainable })
    this.vProj = new Linear(dContext, nKvHeads * dHead, rng, projection)
    this.oProj = new Linear(nHeads * dHead, dModel, rng, projection)
    this.dHead = dHead
  }

  /** Heads of one of the maps, `[B, T, D]` to `[B, T, H, K]`. */
  protected heads(map: Linear, x: Tensor): Tensor {
    return reshape(map.forward(x), [x.shape[0] as number, x.shape[1] as number, -1, this.dHead])
  }

  /** What heads have found, `[B, T, H, K]` to `[B, T, D]`. */
  protected fromHeads(o: Tensor): Tensor {
    return this.oProj.forward(reshape(o, [o.shape[0] as number, o.shape[1] as number, -1]))
  }
}
