import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const [trained, longer] = [20, 40]

const lines = (name: string, paper: string, config: Readonly<Record<string, unknown>>): ClaimRun[] =>
  [trained, longer].map((testLength) => ({
    label: `${name}, ${testLength / 2} symbols`,
    paper,
    config: { dModel: 64, nHeads: 4, ...config },
    task: 'string-copying',
    taskConfig: { symbols: 8, length: trained, reversed: true, shortest: 4 },
    train: { steps: 2000, batch: 32, evalEvery: 0, evalBatches: 16 },
    rates: [1e-3, 3e-3],
    testLength,
  }))

const plain = { nKvHeads: 4, dHead: 16 }

/** Dehghani et al. 2018, arXiv:1807.03819: the same block again and again, until a token halts. */
export const universalTransformer: Claim = {
  key: 'universal-transformer',
  papers: ['universal-transformer'],
  title: 'Reversing longer strings',
  sentence:
    'Trained to reverse up to 10 symbols, a universal transformer that halts by itself gets more of 20 symbols right than a transformer of as many layers as it takes steps, and than one of as many parameters.',
  setting:
    'Four steps of a block 64 wide, with adaptive halting, against four layers and one layer: 2,000 steps of 32 rows of 2 to 10 symbols out of 8, at the better of two learning rates, one seed. The paper trains on 40 symbols and tests on 400, with positions drawn at random in training, which is not done here.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: [
    ...lines('universal', 'universal-transformer', { steps: 4, dInner: 128, halting: 'sum' }),
    ...lines('4 layers', 'transformer', { ...plain, nLayers: 4, dInner: 88 }),
    ...lines('1 layer', 'transformer', { ...plain, nLayers: 1, dInner: 62 }),
  ],
  verdict(row) {
    const [universal, deep, small] = ['universal', '4 layers', '1 layer'].map(
      (name) => row(`${name}, ${longer / 2} symbols`).median,
    ) as [number, number, number]
    const share = (value: number): string => shown('tokenAcc', value)
    return {
      pass: universal > deep && universal > small,
      because: `of 20 symbols the universal transformer gets ${share(universal)} right, four layers ${share(deep)}, one layer ${share(small)}.`,
    }
  },
}
