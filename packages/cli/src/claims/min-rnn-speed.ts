import type { Claim, ClaimRun } from './claim.js'
import { shown } from './page.js'

const widths = [64, 192] as const
const cells = { minGRU: 'min-rnn', GRU: 'gru' } as const

const line = (cell: keyof typeof cells, width: number): ClaimRun => ({
  label: `${cell}, ${width} wide`,
  paper: cells[cell],
  config: {
    dModel: width,
    nLayers: 2,
    ...(cell === 'GRU' ? { dHidden: width, dInner: 2 * width } : { expansion: 2, ffMult: 2 }),
  },
  task: 'copying',
  taskConfig: { length: 512, data: 10 },
  train: { steps: 20, batch: 8, lr: 3e-3, evalEvery: 0, evalBatches: 1 },
})

/** Feng et al. 2024, arXiv:2410.01201, section 4.1: without a state in the gates, training is no longer a loop. */
export const minRnnSpeed: Claim = {
  key: 'min-rnn-speed',
  papers: ['min-rnn', 'gru'],
  title: 'Training time of minGRU and GRU',
  sentence:
    'Training a minGRU takes less time than training a GRU of as many parameters on rows of 512 tokens, and gains more in a wider model.',
  setting:
    'Two layers, 64 and 192 wide, 20 steps of 8 rows; both cells have kernels of their own, forward and backward. The paper measures single cells on a GPU, where it finds a factor of 175 at 512 tokens; here both run on the same cores.',
  measure: 'seconds',
  seeds: [0, 1, 2],
  equal: null,
  runs: widths.flatMap((width) => [line('minGRU', width), line('GRU', width)]),
  verdict(row) {
    const factors = widths.map((width) => row(`GRU, ${width} wide`).low / row(`minGRU, ${width} wide`).low)
    const [narrow, wide] = factors as [number, number]
    const told = widths.map((width) => {
      const [fast, slow] = [row(`minGRU, ${width} wide`).low, row(`GRU, ${width} wide`).low]
      return `${width} wide ${shown('seconds', fast)} against ${shown('seconds', slow)}`
    })
    return {
      pass: narrow > 1 && wide > narrow,
      because: `the fastest of three runs take, ${told.join(', ')}: factors of ${narrow.toFixed(1)} and ${wide.toFixed(1)}.`,
    }
  },
}
