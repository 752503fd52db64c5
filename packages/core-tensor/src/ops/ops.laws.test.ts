import { describeOp } from '@mneme/testing/describe-op'
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

describeOp(adamW)
describeOp(crossEntropy)
describeOp(deltaRule)
describeOp(embedding)
describeOp(layerNorm)
describeOp(linearScan)
describeOp(rmsNorm)
describeOp(rotary)
describeOp(shortConv)
describeOp(softmaxAttention)
