import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const line = (label: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun => ({
  label,
  paper,
  config: { dModel: 32, ...config },
  task: 'mqar',
  taskConfig: { vocab: 32, length: 32, pairs: 4 },
  train: { steps: 2000, batch: 32, evalEvery: 0, evalBatches: 16 },
  rates: [2e-3, 5e-3],
})

/** Behrouz et al. 2025, arXiv:2501.00663: a memory that learns while it reads. */
export const titans: Claim = {
  key: 'titans',
  papers: ['titans'],
  title: 'Neural memory on MQAR',
  sentence:
    'The memory of Titans recalls at least as much as the gated delta rule, with momentum no less than without, and more than attention through a window of 8 tokens.',
  setting:
    'Two layers, 32 wide, 4 pairs among 32 tokens, 2,000 steps of 32 rows at the better of two learning rates on the validation split, two seeds. Memories are two-layer MLPs with keys and values 16 wide; parameters are equal within 15 %. The paper tests needles in up to 16,000 tokens.',
  measure: 'tokenAcc',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0.15 },
  runs: [
    line('Titans (LMM)', 'titans', { memoryWidth: 16 }),
    line('Titans (LMM) without momentum', 'titans', { memoryWidth: 16, momentum: false }),
    line('gated delta rule', 'gated-deltanet', { nHeads: 1, nVHeads: 1, dHead: 32, dInner: 64 }),
    line('attention, window of 8', 'transformer', { nHeads: 2, nKvHeads: 2, dHead: 16, dInner: 80, window: 8 }),
  ],
  verdict(row) {
    const [memory, still] = [row('Titans (LMM)').median, row('Titans (LMM) without momentum').median]
    const [delta, local] = [row('gated delta rule').median, row('attention, window of 8').median]
    const share = (value: number): string => shown('tokenAcc', value)
    return {
      pass: memory >= delta && memory >= still && memory > local,
      because: `Titans recalls ${share(memory)}, without momentum ${share(still)}, the gated delta rule ${share(delta)}, the window ${share(local)}.`,
    }
  },
}
