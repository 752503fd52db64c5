import { describePaper } from '@mneme/testing'
import * as aaren from './aaren.js'
import * as cottention from './cottention.js'
import * as forgettingTransformer from './forgetting-transformer.js'
import * as gateloop from './gateloop.js'
import * as griffin from './griffin.js'
import * as llamba from './llamba.js'
import type { AnyPaper } from './registry.js'
import * as resformer from './resformer.js'
import * as retnet from './retnet.js'
import * as rwkv from './rwkv.js'
import * as titans from './titans.js'
import * as transformerXl from './transformer-xl.js'
import * as xlstm from './xlstm.js'

// what the tiny configuration of a paper does not reach
for (const { default: paper, moreTiny } of [
  aaren,
  cottention,
  forgettingTransformer,
  gateloop,
  griffin,
  llamba,
  resformer,
  retnet,
  rwkv,
  titans,
  transformerXl,
  xlstm,
]) {
  for (const [name, tiny] of Object.entries(moreTiny)) {
    const key = `${paper.card.key}: ${name}`
    describePaper({ ...paper, card: { ...paper.card, key }, tiny } as unknown as AnyPaper)
  }
}
