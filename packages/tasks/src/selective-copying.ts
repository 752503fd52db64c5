import { choice } from '@mneme/core-tensor/rng'
import { type CopyLayout, checkCopyLayout, copyName, copySampler } from './copying.js'
import { chance } from './metrics.js'
import { synthetic } from './synthetic.js'
import type { Published } from './task.js'

/** Sizes of selective copying. */
export interface SelectiveCopyingConfig extends CopyLayout {}

const figure = (model: string, value: number): Published => ({
  model,
  setting: 'L 4096, vocabulary 16, M 16, 2 layers, D 64',
  metric: 'tokenAcc',
  value,
  source: 'arXiv:2312.00752, table 1',
  recalled: true,
})

/**
 * Selective copying: M symbols at distinct random places among L + M, blanks elsewhere, then M markers; at the markers
 * the symbols are due in order. The places differ from sample to sample, so a fixed delay does not solve it.
 *
 * Source: Jing et al. 2019, arXiv:1706.02761 (denoising); in this form Gu and Dao 2023, arXiv:2312.00752, section 3.1.
 */
export const selectiveCopying = synthetic<SelectiveCopyingConfig>({
  key: 'selective-copying',
  title: 'Selective copying',
  source: 'Gu and Dao 2023, arXiv:2312.00752',
  metric: 'tokenAcc',
  defaults: { vocab: 10, length: 80, data: 8 },
  tiny: { vocab: 6, length: 14, data: 3 },
  published: [
    figure('S4', 0.183),
    figure('H3 with S4', 0.57),
    figure('H3 with Hyena', 0.301),
    figure('Mamba block with S4', 0.564),
    figure('Mamba block with Hyena', 0.284),
    figure('S6 without gate', 0.97),
    figure('H3 with S6', 0.997),
    figure('Mamba', 0.998),
  ],
  check: (config) => checkCopyLayout('selective-copying', config),
  sampler(config) {
    const room = config.length - config.data
    return copySampler(config, (rng) => choice(rng, 0, room, config.data).sort((a, b) => a - b))
  },
  size: ({ vocab }) => vocab,
  name: copyName,
  baselines: ({ vocab }) => [{ name: 'trivial: any symbol', ...chance(vocab - 2) }],
})

export default selectiveCopying
