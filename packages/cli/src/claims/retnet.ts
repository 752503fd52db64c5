import { comparison } from './comparison.js'
import { byRows, linearOnNovel, onNovel, rowsSetting } from './on-novel.js'

/** Sun et al. 2023, arXiv:2307.08621, tables 5 and 6. */
export const retnet = comparison({
  key: 'retnet',
  papers: ['retnet'],
  title: 'Retention on a novel',
  sentence: 'At equal parameters RetNet models the novel with a lower loss than linear attention that forgets nothing.',
  setting: `Two layers, 64 wide, one seed: ${rowsSetting}. The paper trains 200M parameters and more.`,
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0.03 },
  runs: [onNovel('RetNet', 'retnet', { dInner: 87 }), linearOnNovel].map(byRows),
  holds: (of) => of('RetNet') < of('linear attention'),
})
