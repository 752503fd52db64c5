import { comparison } from './comparison.js'
import { byRows, linearOnNovel, onNovel, rowsSetting, windowOnNovel } from './on-novel.js'

/** Dolga et al. 2024, arXiv:2402.17512: attention through slots. */
export const latte = comparison({
  key: 'latte',
  papers: ['latte'],
  title: 'Latent attention on a novel',
  sentence: 'At equal parameters the loss of Latte on the novel lies between those of softmax and of linear attention.',
  setting: `Two layers, 64 wide, 64 slots, one seed: ${rowsSetting}. The paper trains on OpenWebText.`,
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [onNovel('Latte', 'latte', { dInner: 260 }), windowOnNovel, linearOnNovel].map(byRows),
  holds: (of) => of('transformer') <= of('Latte') && of('Latte') < of('linear attention'),
})
