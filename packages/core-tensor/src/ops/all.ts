import { type AnyOp, described } from '../op.js'
import { adamW, adamWSheet } from './adam-w.js'
import { affine, affineSheet } from './affine.js'
import { boundedSqrt, boundedSqrtSheet } from './bounded-sqrt.js'
import { complexLinearScan, complexLinearScanSheet } from './complex-linear-scan.js'
import { cosSin, cosSinSheet } from './cos-sin.js'
import { crossEntropy, crossEntropySheet } from './cross-entropy.js'
import { deltaRule, deltaRuleSheet } from './delta-rule.js'
import { dplrDeltaRule, dplrDeltaRuleSheet } from './dplr-delta-rule.js'
import { embedding, embeddingSheet } from './embedding.js'
import { gatedLinearAttention, gatedLinearAttentionSheet } from './gated-linear-attention.js'
import { geluOp, geluOpSheet } from './gelu.js'
import { gru, gruSheet } from './gru.js'
import { layerNorm, layerNormSheet } from './layer-norm.js'
import { leakyRnn, leakyRnnSheet } from './leaky-rnn.js'
import { linearCrossEntropy, linearCrossEntropySheet } from './linear-cross-entropy.js'
import { linearScan, linearScanSheet } from './linear-scan.js'
import { lstm, lstmSheet } from './lstm.js'
import { maxPlusScan, maxPlusScanSheet } from './max-plus-scan.js'
import { minGru, minGruSheet } from './min-gru.js'
import { rmsNorm, rmsNormSheet } from './rms-norm.js'
import { rotary, rotarySheet } from './rotary.js'
import { selectiveScan, selectiveScanSheet } from './selective-scan.js'
import { shortConv, shortConvSheet } from './short-conv.js'
import { slstm, slstmSheet } from './slstm.js'
import { softmaxAttention, softmaxAttentionSheet } from './softmax-attention.js'
import { squaredNorm, squaredNormSheet } from './squared-norm.js'
import { sru, sruSheet } from './sru.js'
import { turingMemory, turingMemorySheet } from './turing-memory.js'
import { wkv4, wkv4Sheet } from './wkv4.js'

/** Every op: what the laws of ops, the self-test and the bench go through. */
export const allOps: readonly AnyOp[] = [
  described(adamW, adamWSheet),
  described(affine, affineSheet),
  described(boundedSqrt, boundedSqrtSheet),
  described(complexLinearScan, complexLinearScanSheet),
  described(cosSin, cosSinSheet),
  described(crossEntropy, crossEntropySheet),
  described(deltaRule, deltaRuleSheet),
  described(dplrDeltaRule, dplrDeltaRuleSheet),
  described(embedding, embeddingSheet),
  described(gatedLinearAttention, gatedLinearAttentionSheet),
  described(geluOp, geluOpSheet),
  described(gru, gruSheet),
  described(layerNorm, layerNormSheet),
  described(leakyRnn, leakyRnnSheet),
  described(linearCrossEntropy, linearCrossEntropySheet),
  described(linearScan, linearScanSheet),
  described(lstm, lstmSheet),
  described(maxPlusScan, maxPlusScanSheet),
  described(minGru, minGruSheet),
  described(rmsNorm, rmsNormSheet),
  described(rotary, rotarySheet),
  described(selectiveScan, selectiveScanSheet),
  described(shortConv, shortConvSheet),
  described(slstm, slstmSheet),
  described(softmaxAttention, softmaxAttentionSheet),
  described(squaredNorm, squaredNormSheet),
  described(sru, sruSheet),
  described(turingMemory, turingMemorySheet),
  described(wkv4, wkv4Sheet),
]
