import { Rng } from '@mneme/core-tensor'
import { expect, test } from 'vitest'
import { MlstmBlock } from './mlstm-block.js'

test('MlstmBlock: as many values as the paper says', () => {
  const sizes = { dModel: 6, dInner: 8, nHeads: 2, convWidth: 4, mapBlock: 4 }
  const block = new MlstmBlock({ ...sizes, bias: false, eps: 1e-6, normEps: 1e-5, chunk: 4 }, new Rng(1))
  const { dModel: D, dInner: E, nHeads: H } = sizes
  // up, convolution, maps of 4 channels each, gates, norm and skip, down
  expect(block.parameterCount()).toBe(D * 2 * E + 5 * E + 12 * E + 2 * (3 * E * H + H) + 2 * E + E * D)
  block.dispose()
})
