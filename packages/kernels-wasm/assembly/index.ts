export { adamW } from './adam-w'
export { addRow, sumRows } from './affine'
export { crossEntropy, crossEntropyBackward } from './cross-entropy'
export { embedding } from './embedding'
export { gelu, geluBackward } from './gelu'
export {
  linearCrossEntropy,
  linearCrossEntropyBackward,
  linearCrossEntropyScratch,
} from './linear-cross-entropy'
export { linearScan, linearScanBackward } from './linear-scan'
export { matMul, matMulScratch } from './mat-mul'
export { minGru, minGruBackward } from './min-gru'
export { oneHot } from './one-hot'
export { rmsNorm, rmsNormBackward } from './rms-norm'
export { segmentSum, segmentSumInt } from './segment-sum'
export { softmaxAttention, softmaxAttentionScratch } from './softmax-attention'
export { softmaxAttentionBackward, softmaxAttentionBackwardScratch } from './softmax-attention-backward'
export { squaredNorm } from './squared-norm'
