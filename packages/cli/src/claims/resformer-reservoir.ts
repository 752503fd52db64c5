import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const lengths = [256, 1024] as const

const lines = (name: string, inputScale: number): ClaimRun[] =>
  lengths.map((testLength) => ({
    label: `${name}, ${testLength} tokens`,
    paper: 'resformer-reservoir',
    config: {
      dModel: 32,
      nLayers: 2,
      nHeads: 2,
      dInner: 64,
      segment: 16,
      dReservoir: 128,
      dReadout: 32,
      leak: 0.02,
      inputScale,
    },
    task: 'majority',
    taskConfig: { symbols: 4, length: 256, lead: 0.2 },
    train: { steps: 800, batch: 16, lr: 3e-3, evalEvery: 0, evalBatches: 32 },
    testLength,
  }))

/** Liu et al. 2025, arXiv:2509.24074: a fixed reservoir reads the whole history. */
export const resformerReservoir: Claim = {
  key: 'resformer-reservoir',
  papers: ['resformer-reservoir'],
  title: 'Classifying long sequences',
  sentence:
    'With its reservoir ResFormer names the most frequent symbol of 256 tokens, and of 1,024, more often than with a reservoir that gets no input.',
  setting:
    'Two layers, 32 wide, attention within 16 tokens, a reservoir of 128 units that renews 2 % of itself a token; four symbols, one of them drawn more often: 800 steps of 16 rows of 256, two seeds. The same model with its input weights at 0 has as many parameters and no memory. The paper classifies dialogues.',
  measure: 'tokenAcc',
  seeds: [0, 1],
  equal: { what: 'parameters', within: 0 },
  runs: [...lines('reservoir', 0.5), ...lines('no input', 0)],
  verdict(row) {
    const of = (name: string, length: number): number => row(`${name}, ${length} tokens`).median
    const share = (value: number): string => shown('tokenAcc', value)
    return {
      pass: lengths.every((length) => of('reservoir', length) > of('no input', length)),
      because: `${lengths
        .map((n) => `of ${n} tokens it names ${share(of('reservoir', n))}, without input ${share(of('no input', n))}`)
        .join('; ')}.`,
    }
  },
}
