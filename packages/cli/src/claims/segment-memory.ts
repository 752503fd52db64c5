import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

/** Tokens of a segment, and of the longest rows in training: twenty segments. */
const [segment, trained] = [16, 320]
const lengths = [trained, 100 * trained, 1_000_000] as const
const rows = [256, 64, 8] as const

const lines = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun[] =>
  lengths.map((testLength, i) => ({
    label: `${label}, ${testLength} tokens`,
    paper,
    config: { dModel: 32, nLayers: 2, nHeads: 2, dInner: 64, segment, positions: 64, ...config },
    task: 'fact-recall',
    taskConfig: { facts: 4, noise: 16, length: trained, place: 'start', shortest: segment, growth: 1200 },
    train: { steps: 2000, batch: 16, lr: 2e-3, evalEvery: 0, evalBatches: 8 },
    testLength,
    testRows: rows[i] as number,
  }))

/** A model whose memory goes from segment to segment, beside the same model without. */
const segmentMemory = (
  key: string,
  name: string,
  config: Readonly<Record<string, unknown>>,
  { papers }: { readonly papers: string },
): Claim => ({
  key,
  papers: [key],
  title: `A fact kept for a million tokens by ${name}`,
  sentence: `${name}, trained on up to 20 segments, still knows a fact of the first segment after 100 times as many, and after a million tokens, in at least 9 of 10 rows, from a state that does not grow; without memory the same model does not.`,
  setting: `Decoders of two layers, 32 wide, four memory tokens, segments of 16 tokens; one of 4 facts at the start, noise, and the question at the end. 2,000 steps of 16 rows, whose length grows from one segment to 20 over the first 1,200, one seed; 256 rows are judged at 320 tokens, 64 at 32,000 and 8 at a million. ${papers}`,
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [...lines(name, key, config), ...lines('no memory', 'rmt', { memoryTokens: 0 }).slice(0, 2)],
  verdict(row) {
    const of = (label: string, length: number): number => row(`${label}, ${length} tokens`).median
    const [, far, farthest] = lengths
    const without = of('no memory', far)
    const told = lengths.map((length) => shown('tokenAcc', of(name, length))).join(', ')
    return {
      pass: of(name, far) >= 0.9 && of(name, farthest) >= 0.9 && without < 0.5,
      because: `at 320, 32,000 and 1,000,000 tokens ${name} is right in ${told} of rows; without memory in ${shown('tokenAcc', without)} at 32,000.`,
    }
  },
})

/** Bulatov et al. 2023, arXiv:2304.11062. */
export const rmt = segmentMemory(
  'rmt',
  'RMT',
  { memoryTokens: 4 },
  { papers: 'The paper trains BERT on up to 7 segments of 499 and tests on 4,096.' },
)

/** Rodkin et al. 2024, arXiv:2407.04841. */
export const armt = segmentMemory(
  'armt',
  'ARMT',
  { memoryTokens: 4, dKey: 8 },
  { papers: 'The paper trains GPT-2 on up to 16,000 tokens and tests on 50 million.' },
)
