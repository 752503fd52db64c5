import type { Claim, ClaimRow, ClaimRun } from './claim.js'
import { shown } from './page.js'
import { picture } from './picture.js'

const widths = [8, 16, 32] as const

/** Each mixer at one width, its inner widths following; one head, so that a state of K x V is as wide as the model. */
const mixers: Readonly<Record<string, (width: number) => Readonly<Record<string, unknown>>>> = {
  transformer: (D) => ({ nHeads: 1, nKvHeads: 1, dHead: D, dInner: 2 * D }),
  gla: (D) => ({ nHeads: 1, nKvHeads: 1, dInner: 2 * D }),
  deltanet: (D) => ({ nHeads: 1, dInner: 2 * D }),
  'gated-deltanet': (D) => ({ nHeads: 1, nVHeads: 1, dHead: D, dInner: 2 * D }),
  mamba: (D) => ({ dInner: 2 * D, dState: 8, dtRank: 2 }),
  rwkv: (D) => ({ dAttention: D, dInner: 2 * D }),
  'min-rnn': () => ({ ffMult: 2 }),
}

const label = (paper: string, width: number): string => `${paper}, ${width} wide`
const widest = widths[widths.length - 1] as number

/** Arora et al. 2023 and 2024, arXiv:2312.04927 and 2402.18668: recall costs state. */
export const mqarRecall: Claim = {
  key: 'mqar-recall',
  papers: ['gla', 'deltanet', 'gated-deltanet'],
  title: 'Recall against state size on MQAR',
  sentence:
    'At every width the delta rule recalls at least as much as gated linear attention, both recall more than states without an outer product (minGRU, RWKV-4), and at the largest width attention with its growing state recalls nearly everything.',
  setting:
    'Two layers of each mixer, 8, 16 and 32 wide, on MQAR with 4 pairs in 16 tokens and a vocabulary of 32: 800 steps of 64 rows at the best of three learning rates on the validation split, one seed. The papers have 4 to 64 pairs, vocabularies of 8,192, widths of 64 to 512, and many more sequences than the 51,200 seen here. Bytes of attention are those after 16 tokens.',
  measure: 'tokenAcc',
  seeds: [0],
  equal: null,
  runs: widths.flatMap((dModel) =>
    Object.entries(mixers).map(
      ([paper, config]): ClaimRun => ({
        label: label(paper, dModel),
        paper,
        config: { dModel, ...config(dModel) },
        task: 'mqar',
        taskConfig: { vocab: 32, length: 16, pairs: 4, power: 1 },
        train: { steps: 800, batch: 64, evalEvery: 0, evalBatches: 16 },
        rates: [1e-3, 3e-3, 1e-2],
      }),
    ),
  ),
  verdict(row) {
    const of = (paper: string, width: number): number => row(label(paper, width)).median
    const share = (value: number): string => shown('tokenAcc', value)
    const vectors = (width: number): number => Math.max(of('min-rnn', width), of('rwkv', width))
    const ordered = widths.every(
      (width) => of('deltanet', width) >= of('gla', width) && of('gla', width) > vectors(width),
    )
    const attention = of('transformer', widest)
    const found = widths.map(
      (width) =>
        `${width} wide, DeltaNet recalls ${share(of('deltanet', width))}, GLA ${share(of('gla', width))}, the better of minGRU and RWKV-4 ${share(vectors(width))}`,
    )
    return {
      pass: ordered && attention >= 0.95,
      because: `${found.join('; ')}; attention, ${widest} wide, ${share(attention)}, of which 95 % are asked.`,
    }
  },
  figure: (rows) =>
    picture({
      title: 'Recall against state size: MQAR, 4 pairs, 16 tokens',
      x: 'state of one row, bytes after 16 tokens',
      y: 'accuracy',
      series: Object.keys(mixers).map((paper) => ({
        name: paper,
        points: rows.filter((r) => r.paper === paper).map(point),
      })),
    }),
}

const point = ({ stateBytes, median }: ClaimRow): { x: number; y: number } => ({ x: stateBytes, y: median })
