import type { Rng } from '@mneme/core-tensor/rng'
import { ask } from './batch.js'
import { checkInteger } from './check.js'
import type { Sampler } from './synthetic.js'
import { synthetic } from './synthetic.js'

/** Sizes shared by copying and selective copying: T = L + 2 M. */
export interface CopyLayout {
  /** A: 0 is the blank, 1 to A - 2 are data, A - 1 is the marker. */
  readonly vocab: number
  /** T; what is neither data nor marker, L = T - 2 M, is blank. */
  readonly length: number
  /** M symbols to be kept. */
  readonly data: number
}

/** Sizes of the copying task. */
export interface CopyingConfig extends CopyLayout {
  /** Scores every index, the blank being due wherever no symbol is. */
  readonly fullLoss: boolean
}

/**
 * Copying: M symbols, L blanks, M markers; at the markers the symbols are due in order.
 *
 * Source: Hochreiter and Schmidhuber 1997; in this form Arjovsky et al. 2016, arXiv:1511.06464, section 5.1.
 */
export const copying = synthetic<CopyingConfig>({
  key: 'copying',
  title: 'Copying after a delay',
  source: 'Arjovsky et al. 2016, arXiv:1511.06464',
  metric: 'tokenAcc',
  defaults: { vocab: 10, length: 120, data: 10, fullLoss: false },
  tiny: { vocab: 6, length: 12, data: 3, fullLoss: false },
  published: [],
  check: (config) => checkCopyLayout('copying', config),
  sampler(config) {
    const head = Array.from({ length: config.data }, (_, i) => i)
    const copy = copySampler(config, () => head)
    return (rng, row) => {
      copy(rng, row)
      if (config.fullLoss) for (let t = 0; t < config.length - config.data; t++) ask(row, t, 0)
    }
  },
  size: ({ vocab }) => vocab,
  name: copyName,
  baselines({ vocab, length, data, fullLoss }) {
    const symbols = vocab - 2
    const scored = fullLoss ? length : data
    return [
      {
        name: 'trivial: blank, then any symbol',
        accuracy: (scored - data + data / symbols) / scored,
        lossNats: (data * Math.log(symbols)) / scored,
      },
    ]
  },
})

export default copying

/** Refuses sizes without room for the symbols and as many markers. */
export function checkCopyLayout(where: string, { vocab, length, data }: CopyLayout): void {
  checkInteger(`${where}.data`, data, 1)
  checkInteger(`${where}.vocab`, vocab, 3)
  checkInteger(`${where}.length`, length, 2 * data)
}

/** Data at `positions(rng)` (ascending, before the markers), blanks between, M markers that ask for them in order. */
export function copySampler(layout: CopyLayout, positions: (rng: Rng) => readonly number[]): Sampler {
  const { vocab, length, data } = layout
  const marker = vocab - 1
  return (rng, row) => {
    row.inputs.fill(marker, length - data)
    positions(rng).forEach((at, i) => {
      const symbol = rng.int(1, marker)
      row.inputs[at] = symbol
      ask(row, length - data + i, symbol, at)
    })
  }
}

/** Blank `.`, marker `?`, data as their numbers. */
export function copyName({ vocab }: CopyLayout, id: number): string {
  return id === 0 ? '.' : id === vocab - 1 ? '?' : String(id)
}
