import { describePaper } from '@mneme/testing'
import * as hippocampus from './artificial-hippocampus.js'
import * as blockRecurrent from './block-recurrent-transformer.js'
import * as compressive from './compressive-transformer.js'
import * as forgettingTransformer from './forgetting-transformer.js'
import * as infini from './infini-attention.js'
import * as lm2 from './lm2.js'
import * as memformer from './memformer.js'
import type { AnyPaper } from './registry.js'
import * as rwkv from './rwkv.js'
import * as titans from './titans.js'

// what the tiny configuration of a paper does not reach
for (const { default: paper, moreTiny } of [
  blockRecurrent,
  compressive,
  forgettingTransformer,
  hippocampus,
  infini,
  lm2,
  memformer,
  rwkv,
  titans,
]) {
  for (const [name, tiny] of Object.entries(moreTiny)) {
    const key = `${paper.card.key}: ${name}`
    describePaper({ ...paper, card: { ...paper.card, key }, tiny } as unknown as AnyPaper)
  }
}
