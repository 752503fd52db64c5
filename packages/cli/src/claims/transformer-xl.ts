import { comparison } from './comparison.js'
import { novelSetting, onNovel } from './on-novel.js'

const memories = [0, 32, 128] as const
const label = (memory: number): string => `memory of ${memory}`

/** Dai et al. 2019, arXiv:1901.02860, section 4.2. */
export const transformerXl = comparison({
  key: 'transformer-xl',
  papers: ['transformer-xl'],
  title: 'Memory of Transformer-XL on a novel',
  sentence:
    'The loss of Transformer-XL on the novel falls when each layer remembers 32 characters, and again with 128.',
  setting: `Two layers, 64 wide, segments of 32, one seed: 2,400 steps where others have 800, else ${novelSetting}. The paper trains 41M to 277M parameters with memories of 150 to 3,800.`,
  measure: 'lossNats',
  seeds: [0],
  equal: { what: 'parameters', within: 0 },
  runs: memories.map((memory) => {
    const line = onNovel(label(memory), 'transformer-xl', { segment: 32, memory, dInner: 172 })
    return { ...line, train: { ...line.train, steps: 2400 } }
  }),
  holds: (of) => of(label(0)) > of(label(32)) && of(label(32)) > of(label(128)),
})
