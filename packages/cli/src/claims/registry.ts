import { aaren } from './aaren.js'
import { artificialHippocampus } from './artificial-hippocampus.js'
import { blockRecurrentTransformer } from './block-recurrent-transformer.js'
import { blockwiseRing } from './blockwise-ring.js'
import type { Claim } from './claim.js'
import { compressiveTransformer } from './compressive-transformer.js'
import { cottention } from './cottention.js'
import { endToEndMemoryNetworks } from './end-to-end-memory-networks.js'
import { forgettingTransformer } from './forgetting-transformer.js'
import { gateloop } from './gateloop.js'
import { griffin } from './griffin.js'
import { hgrn } from './hgrn.js'
import { hgrn2 } from './hgrn2.js'
import { infiniAttention } from './infini-attention.js'
import { landmarkAttention } from './landmark-attention.js'
import { latte } from './latte.js'
import { llamba } from './llamba.js'
import { lm2 } from './lm2.js'
import { mamba } from './mamba.js'
import { mamba2 } from './mamba2.js'
import { memformer } from './memformer.js'
import { minRnn } from './min-rnn.js'
import { minRnnSpeed } from './min-rnn-speed.js'
import { mqarRecall } from './mqar-recall.js'
import { novel } from './novel.js'
import { recurrentLinearTransformers } from './recurrent-linear-transformers.js'
import { resformerReservoir } from './resformer-reservoir.js'
import { resformerValueResidual } from './resformer-value-residual.js'
import { retnet } from './retnet.js'
import { rmt1m } from './rmt-1m.js'
import { rwkv } from './rwkv.js'
import { armt, rmt } from './segment-memory.js'
import { titans } from './titans.js'
import { tova } from './tova.js'
import { transformer } from './transformer.js'
import { transformerXl } from './transformer-xl.js'
import { universalTransformer } from './universal-transformer.js'

/** Every claim that can be run, in the order of the page. */
export const claims: readonly Claim[] = [
  transformer,
  minRnn,
  minRnnSpeed,
  mqarRecall,
  hgrn,
  hgrn2,
  griffin,
  gateloop,
  mamba,
  mamba2,
  llamba,
  rwkv,
  retnet,
  novel,
  forgettingTransformer,
  aaren,
  recurrentLinearTransformers,
  latte,
  cottention,
  infiniAttention,
  landmarkAttention,
  transformerXl,
  compressiveTransformer,
  rmt,
  rmt1m,
  armt,
  blockRecurrentTransformer,
  memformer,
  lm2,
  titans,
  artificialHippocampus,
  endToEndMemoryNetworks,
  tova,
  blockwiseRing,
  universalTransformer,
  resformerValueResidual,
  resformerReservoir,
]
