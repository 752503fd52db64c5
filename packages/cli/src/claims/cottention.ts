import { comparison } from './comparison.js'
import { byRows, linearOnNovel, onNovel, rowsSetting, windowOnNovel } from './on-novel.js'

/** Mongaras et al. 2024, arXiv:2409.18747: cosines in place of a softmax. */
export const cottention = comparison({
  key: 'cottention',
  papers: ['cottention'],
  title: 'Cosine attention on a novel',
  sentence:
    'At equal parameters Cottention models the novel with a loss at most 5 % above softmax attention, and below linear attention.',
  setting: `Two layers, 64 wide, one seed: ${rowsSetting}. The paper trains 300M parameters on The Pile.`,
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [onNovel('Cottention', 'cottention', { dInner: 260 }), windowOnNovel, linearOnNovel].map(byRows),
  holds: (of) => of('Cottention') <= 1.05 * of('transformer') && of('Cottention') < of('linear attention'),
})
