import type { AnyOp } from '../op.js'
import { adamW } from './adam-w.js'
import { affine } from './affine.js'
import { crossEntropy } from './cross-entropy.js'
import { deltaRule } from './delta-rule.js'
import { embedding } from './embedding.js'
import { geluOp } from './gelu.js'
import { layerNorm } from './layer-norm.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'
import { linearScan } from './linear-scan.js'
import { minGru } from './min-gru.js'
import { rmsNorm } from './rms-norm.js'
import { rotary } from './rotary.js'
import { shortConv } from './short-conv.js'
import { softmaxAttention } from './softmax-attention.js'
import { squaredNorm } from './squared-norm.js'

/** Every op: what the laws of ops, the self-test and the bench go through. */
export const allOps: readonly AnyOp[] = [
  adamW,
  affine,
  crossEntropy,
  deltaRule,
  embedding,
  geluOp,
  layerNorm,
  linearCrossEntropy,
  linearScan,
  minGru,
  rmsNorm,
  rotary,
  shortConv,
  softmaxAttention,
  squaredNorm,
] as unknown as AnyOp[]
