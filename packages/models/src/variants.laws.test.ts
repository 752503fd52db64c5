import { describePaper } from '@mneme/testing'
import * as armt from './armt.js'
import * as bert from './bert.js'
import * as forgettingTransformer from './forgetting-transformer.js'
import * as griffin from './griffin.js'
import * as landmarkAttention from './landmark-attention.js'
import type { AnyPaper } from './registry.js'
import * as rmt from './rmt.js'
import * as rmt1m from './rmt-1m.js'
import * as rwkv from './rwkv.js'
import * as titans from './titans.js'
import * as tova from './tova.js'
import * as transformer from './transformer.js'
import * as universalTransformer from './universal-transformer.js'

// what the tiny configuration of a paper does not reach
for (const { default: paper, moreTiny } of [
  armt,
  bert,
  forgettingTransformer,
  griffin,
  landmarkAttention,
  rmt,
  rmt1m,
  rwkv,
  titans,
  tova,
  transformer,
  universalTransformer,
]) {
  for (const [name, tiny] of Object.entries(moreTiny)) {
    const key = `${paper.card.key}: ${name}`
    describePaper({ ...paper, card: { ...paper.card, key }, tiny } as unknown as AnyPaper)
  }
}
