import type { Experiment } from '@mneme/training'
import type { Options } from './options'
import { quickExperiment } from './starting-point'

/** Experiments that are opened together by one click. */
export interface Preset {
  readonly key: string
  readonly title: string
  /** What is to be seen, in one sentence. */
  readonly sentence: string
  /** Whose question it is. */
  readonly source: { readonly name: string; readonly arxiv: string }
  readonly experiments: readonly [Experiment, ...Experiment[]]
  readonly options?: Partial<Options>
}

type Config = Experiment['config']

/** Recall that is learnt within a minute: 4 pairs among 32 tokens. */
const recall = (paper: string, config: Config): Experiment => ({
  paper,
  config,
  task: 'mqar',
  taskConfig: { vocab: 32, length: 32, pairs: 4 },
  train: { steps: 1500, batch: 32, lr: 4e-3, evalEvery: 50, evalBatches: 4 },
  seed: 0,
})

const copying = (paper: string, config: Config): Experiment => ({
  paper,
  config: { dModel: 32, ...config },
  task: 'selective-copying',
  taskConfig: { vocab: 8, length: 32, data: 4 },
  train: { steps: 2000, batch: 32, lr: 5e-3, evalEvery: 50, evalBatches: 4 },
  seed: 0,
})

const induction = (paper: string, config: Config): Experiment => ({
  paper,
  config: { dModel: 32, ...config },
  task: 'induction-heads',
  taskConfig: { vocab: 12, length: 32 },
  train: { steps: 3000, batch: 32, lr: 3e-3, evalEvery: 50, evalBatches: 4 },
  seed: 0,
})

const zoology = { name: 'Arora et al. 2023', arxiv: '2312.04927' }
const mamba = { name: 'Gu and Dao 2023', arxiv: '2312.00752' }

export const presets: readonly Preset[] = [
  {
    key: 'novel',
    title: 'A novel, letter by letter',
    sentence: 'A gated recurrent network, whose gates see only the token at hand, learns to spell.',
    source: { name: 'Feng et al. 2024', arxiv: '2410.01201' },
    experiments: [quickExperiment()],
  },
  {
    key: 'recall-at-equal-state',
    title: 'Recall at equal state',
    sentence: 'Four ways to remember with a kilobyte of state each.',
    source: zoology,
    experiments: [
      recall('gated-deltanet', { dModel: 32, nHeads: 1, nVHeads: 1, dHead: 8, dInner: 64 }),
      recall('transformer', { dModel: 32, nHeads: 1, nKvHeads: 1, dHead: 2, dInner: 64 }),
      recall('mamba', { dModel: 32, dInner: 12, dState: 8, dtRank: 2 }),
      recall('min-rnn', { dModel: 91, ffMult: 2 }),
    ],
    options: { chart: 'accuracy', equal: 'none' },
  },
  {
    key: 'recall-in-equal-time',
    title: 'Recall in equal time',
    sentence: 'Four ways to remember get 30 seconds of training each, in turns.',
    source: zoology,
    experiments: [
      recall('gated-deltanet', { dModel: 32, nHeads: 1, nVHeads: 1, dHead: 32, dInner: 64 }),
      recall('transformer', { dModel: 32, nHeads: 1, nKvHeads: 1, dHead: 32, dInner: 64 }),
      recall('mamba', { dModel: 32, dInner: 64, dState: 8, dtRank: 2 }),
      recall('min-rnn', { dModel: 32, ffMult: 2 }),
    ],
    options: { chart: 'accuracy', axis: 'seconds', equal: 'time', seconds: 30 },
  },
  {
    key: 'delta-rule',
    title: 'The delta rule against adding up',
    sentence: 'A memory that corrects what it stores, beside one of the same size that decays and adds.',
    source: { name: 'Yang et al. 2024', arxiv: '2406.06484' },
    experiments: [
      recall('deltanet', { dModel: 16, nHeads: 1, dInner: 32 }),
      recall('gla', { dModel: 16, nHeads: 1, nKvHeads: 1, dInner: 32 }),
    ],
    options: { chart: 'accuracy' },
  },
  {
    key: 'titans',
    title: 'A memory that learns while it reads',
    sentence: 'The memory of Titans is a small network trained at every token; beside it the gated delta rule.',
    source: { name: 'Behrouz et al. 2025', arxiv: '2501.00663' },
    experiments: [
      recall('titans', { dModel: 32, memoryWidth: 16 }),
      recall('gated-deltanet', { dModel: 32, nHeads: 1, nVHeads: 1, dHead: 32, dInner: 64 }),
    ],
    options: { chart: 'accuracy' },
  },
  {
    key: 'selective-copying',
    title: 'Selective copying by depth',
    sentence: 'One, two and three layers whose gates each see a single token: what depth is worth.',
    source: { name: 'Feng et al. 2024', arxiv: '2410.01201' },
    experiments: [
      copying('min-rnn', { nLayers: 1 }),
      copying('min-rnn', { nLayers: 2 }),
      copying('min-rnn', { nLayers: 3 }),
    ],
    options: { chart: 'accuracy' },
  },
  {
    key: 'induction-heads',
    title: 'Induction heads',
    sentence: 'What came after this the last time? Trained on 32 tokens, to be tried far beyond.',
    source: mamba,
    experiments: [
      induction('mamba', { dInner: 64, dState: 8, dtRank: 2 }),
      induction('transformer', { nHeads: 2, nKvHeads: 2, dHead: 16, dInner: 64 }),
    ],
    options: { chart: 'accuracy' },
  },
]

/** Small models at several widths, whose finished runs fill a picture. */
export interface Sweep {
  readonly key: string
  readonly title: string
  readonly experiments: readonly Experiment[]
}

const widths = [8, 16, 32] as const

const mixers: readonly ((width: number) => Experiment)[] = [
  (D) => recall('transformer', { dModel: D, nHeads: 1, nKvHeads: 1, dHead: D, dInner: 2 * D }),
  (D) => recall('deltanet', { dModel: D, nHeads: 1, dInner: 2 * D }),
  (D) => recall('min-rnn', { dModel: D, ffMult: 2 }),
]

export const sweeps: readonly Sweep[] = [
  {
    key: 'recall',
    title: 'three papers at three widths',
    experiments: widths.flatMap((width) => mixers.map((mixer) => shorter(mixer(width)))),
  },
]

/** Seconds each: few evaluations, and steps enough to tell the papers apart. */
function shorter(experiment: Experiment): Experiment {
  return { ...experiment, train: { ...experiment.train, steps: 500, evalEvery: 250, evalBatches: 16 } }
}
