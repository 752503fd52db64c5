import type { AnyOp } from '../op.js'
import { adamW } from './adam-w.js'
import { crossEntropy } from './cross-entropy.js'
import { deltaRule } from './delta-rule.js'
import { embedding } from './embedding.js'
import { layerNorm } from './layer-norm.js'
import { linearScan } from './linear-scan.js'
import { rmsNorm } from './rms-norm.js'
import { rotary } from './rotary.js'
import { shortConv } from './short-conv.js'
import { softmaxAttention } from './softmax-attention.js'

/** Every op: what the laws of ops, the self-test and the bench go through. */
export const allOps: readonly AnyOp[] = [
  adamW,
  crossEntropy,
  deltaRule,
  embedding,
  layerNorm,
  linearScan,
  rmsNorm,
  rotary,
  shortConv,
  softmaxAttention,
] as unknown as AnyOp[]
