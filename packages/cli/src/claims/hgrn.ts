import { comparison } from './comparison.js'
import { novelSetting, onNovel } from './on-novel.js'

/** Qin et al. 2023, arXiv:2311.04823, table 6: lower bounds of the forget gates, higher in higher layers. */
export const hgrn = comparison({
  key: 'hgrn',
  papers: ['hgrn'],
  title: 'Lower bounds of forget gates on a novel',
  sentence:
    'HGRN models the novel with a lower loss when its forget gates have a lower bound than when they have none.',
  setting: `Four layers, 64 wide, two seeds: ${novelSetting}. The paper trains 44M parameters on WikiText-103.`,
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0.01 },
  runs: [
    onNovel('lower bound', 'hgrn', { nLayers: 4, lowerBound: true }),
    onNovel('no lower bound', 'hgrn', { nLayers: 4, lowerBound: false }),
  ],
  holds: (of) => of('lower bound') < of('no lower bound'),
})
