import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

/** Tokens of a segment, and of the longest rows in training: five segments. */
const [segment, trained] = [16, 80]
const lengths = [trained, 100 * trained, 1_000_000] as const
const rows: Readonly<Record<number, number>> = { [trained]: 256, [100 * trained]: 64, 1000000: 8 }

const lines = (name: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun[] =>
  lengths.map((testLength) => ({
    label: `${name}, ${testLength} tokens`,
    paper,
    config: { dModel: 32, nLayers: 2, nHeads: 2, dInner: 64, segment, positions: 32, ...config },
    task: 'fact-recall',
    taskConfig: { facts: 8, noise: 16, length: trained, place: 'start', shortest: segment },
    train: { steps: 1500, batch: 32, lr: 3e-3, evalEvery: 0, evalBatches: 8 },
    testLength,
    testRows: rows[testLength] as number,
  }))

/** Bulatov et al. 2023, arXiv:2304.11062; Rodkin et al. 2024, arXiv:2407.04841. */
export const segmentMemory: Claim = {
  key: 'segment-memory',
  title: 'A fact kept for a million tokens',
  sentence:
    'RMT and ARMT, trained on up to 5 segments, still know a fact of the first segment after 100 times as many, and after a million tokens, in at least 9 of 10 rows, from a state that does not grow; without memory the same model does not.',
  setting:
    'Decoders of two layers, 32 wide, four memory tokens, segments of 16 tokens; one of 8 facts at the start, noise, and the question at the end. 1,500 steps of 32 rows of one to five segments, one seed; 256 rows are judged at 80 tokens, 64 at 8,000 and 8 at a million. The papers train BERT and GPT-2 on segments of 499 and 512.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...lines('RMT', 'rmt', { memoryTokens: 4 }),
    ...lines('ARMT', 'armt', { memoryTokens: 4, dKey: 8 }),
    ...lines('no memory', 'rmt', { memoryTokens: 0 }).slice(0, 2),
  ],
  verdict(row) {
    const of = (name: string, length: number): number => row(`${name}, ${length} tokens`).median
    const share = (value: number): string => shown('tokenAcc', value)
    const far = lengths.slice(1)
    const kept = ['RMT', 'ARMT'].every((name) => far.every((length) => of(name, length) >= 0.9))
    const told = (name: string): string => `${name} ${lengths.map((length) => share(of(name, length))).join(', ')}`
    const without = of('no memory', lengths[1])
    return {
      pass: kept && without < 0.5,
      because: `at 80, 8,000 and 1,000,000 tokens ${told('RMT')}; ${told('ARMT')}; without memory ${share(without)} at 8,000.`,
    }
  },
}
