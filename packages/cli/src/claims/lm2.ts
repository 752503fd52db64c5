import { comparison } from './comparison.js'
import { factSetting, onFact } from './on-fact.js'

const [trained, longer] = [64, 256]
const task = { trained, shortest: 16, lengths: [trained, longer], steps: 1500 }
const heads = { nLayers: 2, nHeads: 2, nKvHeads: 2, dHead: 16, dInner: 64 }

/** Kang et al. 2025, arXiv:2502.06049, table 1. */
export const lm2 = comparison({
  key: 'lm2',
  papers: ['lm2'],
  title: 'A memory bank beside attention, beyond the trained length',
  sentence:
    'Read at four times the length it was trained on, LM2 knows the fact more often than the same decoder without its bank, and more often than RMT.',
  setting: `Two layers, 32 wide, 16 slots: ${factSetting}; 1,500 steps of 16 rows of up to 64 tokens, one seed, 128 rows judged. The paper trains 1.7B parameters and tests on BABILong.`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...onFact('LM2', 'lm2', { ...heads, slots: 16, memoryHeads: 2 }, task),
    ...onFact('no bank', 'transformer', heads, task),
    ...onFact('RMT', 'rmt', { nLayers: 2, nHeads: 2, dInner: 64, segment: 16, positions: 64, memoryTokens: 4 }, task),
  ],
  holds(of) {
    const far = (name: string): number => of(`${name}, ${longer} tokens`)
    return far('LM2') > far('no bank') && far('LM2') > far('RMT')
  },
})
