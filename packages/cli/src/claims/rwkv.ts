import { comparison } from './comparison.js'
import { novelSetting, onNovel, windowOnNovel } from './on-novel.js'

/** Peng et al. 2023, arXiv:2305.13048, figure 5; Peng et al. 2025, arXiv:2503.14456. */
export const rwkv = comparison({
  key: 'rwkv',
  papers: ['rwkv'],
  title: 'RWKV on a novel',
  sentence: 'At equal parameters RWKV-4 and RWKV-7 each model the novel with a loss no higher than the transformer.',
  setting: `Two layers, 64 wide, the transformer through a window of 64, one seed: ${novelSetting}. The papers train 169M to 14B parameters.`,
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [
    onNovel('RWKV-4', 'rwkv', { version: 4, dInner: 216 }),
    onNovel('RWKV-7', 'rwkv', { version: 7, dInner: 178 }),
    windowOnNovel,
  ],
  holds: (of) => of('RWKV-4') <= of('transformer') && of('RWKV-7') <= of('transformer'),
})
