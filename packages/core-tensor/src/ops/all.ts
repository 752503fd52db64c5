import type { AnyOp } from '../op.js'
import { adamW } from './adam-w.js'
import { affine } from './affine.js'
import { boundedSqrt } from './bounded-sqrt.js'
import { complexLinearScan } from './complex-linear-scan.js'
import { crossEntropy } from './cross-entropy.js'
import { deltaRule } from './delta-rule.js'
import { dplrDeltaRule } from './dplr-delta-rule.js'
import { embedding } from './embedding.js'
import { gatedLinearAttention } from './gated-linear-attention.js'
import { geluOp } from './gelu.js'
import { gru } from './gru.js'
import { layerNorm } from './layer-norm.js'
import { leakyRnn } from './leaky-rnn.js'
import { linearCrossEntropy } from './linear-cross-entropy.js'
import { linearScan } from './linear-scan.js'
import { lstm } from './lstm.js'
import { maxPlusScan } from './max-plus-scan.js'
import { minGru } from './min-gru.js'
import { rmsNorm } from './rms-norm.js'
import { rotary } from './rotary.js'
import { selectiveScan } from './selective-scan.js'
import { shortConv } from './short-conv.js'
import { slstm } from './slstm.js'
import { softmaxAttention } from './softmax-attention.js'
import { squaredNorm } from './squared-norm.js'
import { sru } from './sru.js'
import { turingMemory } from './turing-memory.js'
import { wkv4 } from './wkv4.js'

/** Every op: what the laws of ops, the self-test and the bench go through. */
export const allOps: readonly AnyOp[] = [
  adamW,
  affine,
  boundedSqrt,
  complexLinearScan,
  crossEntropy,
  deltaRule,
  dplrDeltaRule,
  embedding,
  gatedLinearAttention,
  geluOp,
  gru,
  layerNorm,
  leakyRnn,
  linearCrossEntropy,
  linearScan,
  lstm,
  maxPlusScan,
  minGru,
  rmsNorm,
  rotary,
  selectiveScan,
  shortConv,
  slstm,
  softmaxAttention,
  squaredNorm,
  sru,
  turingMemory,
  wkv4,
] as unknown as AnyOp[]
