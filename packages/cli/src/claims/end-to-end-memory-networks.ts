import { comparison } from './comparison.js'
import { novelSetting, onNovel } from './on-novel.js'

const hops = [1, 3, 6] as const
const label = (count: number): string => `${count} ${count === 1 ? 'hop' : 'hops'}`

/** Sukhbaatar et al. 2015, arXiv:1503.08895, table 2. */
export const endToEndMemoryNetworks = comparison({
  key: 'end-to-end-memory-networks',
  papers: ['end-to-end-memory-networks'],
  title: 'Hops over memory on a novel',
  sentence: 'More hops at equal width lower the loss on the novel: 3 below 1, and 6 no higher than 3.',
  setting: `64 wide, 64 characters in memory, layer-wise tying, two seeds: ${novelSetting}. The paper has 150 units, 100 words in memory, Penn Treebank and Text8.`,
  measure: 'lossNats',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0 },
  runs: hops.map((count) => onNovel(label(count), 'end-to-end-memory-networks', { nLayers: 1, hops: count })),
  holds: (of) => of(label(3)) < of(label(1)) && of(label(6)) <= of(label(3)),
})
