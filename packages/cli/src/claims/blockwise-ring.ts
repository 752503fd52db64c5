import type { ClaimRun } from './claim.js'
import { comparison } from './comparison.js'

const widths = [256, 1024] as const

const line = (
  name: string,
  paper: string,
  dInner: number,
  config: Readonly<Record<string, unknown>> = {},
): ClaimRun => ({
  label: `${name}, inner width ${dInner}`,
  paper,
  config: { dModel: 64, nLayers: 2, nHeads: 4, nKvHeads: 4, dHead: 16, dInner, ...config },
  task: 'novel',
  taskConfig: {},
  train: { steps: 5, batch: 4, length: 512, lr: 1e-3, evalEvery: 0, evalBatches: 2 },
  profiled: true,
})

/** Liu and Abbeel 2023, arXiv:2305.19370: attention and feed-forward, block by block. */
export const blockwiseRing = comparison({
  key: 'blockwise-ring',
  papers: ['blockwise-ring'],
  title: 'Memory of a training step',
  sentence:
    'With a feed-forward of 16 times the model width a training step of the blockwise transformer holds less than half of what the plain one holds, and with one of 4 times no more.',
  setting:
    'Two layers, 64 wide, 4 rows of 512 characters in blocks of 64: bytes of tensors in the second step beyond parameters and moments, without the scratch of kernels. Both attend without a table of T x T scores. That their numbers agree is shown by tests. The paper trains 1B to 70B parameters.',
  measure: 'peakBytes',
  seeds: [0],
  equal: null,
  runs: widths.flatMap((dInner) => [
    line('blockwise', 'blockwise-ring', dInner, { queryBlock: 64, keyBlock: 64, mlpBlock: 64 }),
    line('plain', 'transformer', dInner),
  ]),
  holds: (of) =>
    of('blockwise, inner width 1024') < 0.5 * of('plain, inner width 1024') &&
    of('blockwise, inner width 256') <= of('plain, inner width 256'),
})
