import { normal, normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { expect, test } from 'vitest'
import { BlockwiseAttention, type BlockwiseAttentionOptions } from './blockwise-attention.js'
import { SoftmaxAttention } from './softmax-attention.js'

const D = 6
const options: BlockwiseAttentionOptions = {
  dModel: D,
  nHeads: 2,
  nKvHeads: 1,
  dHead: 4,
  rotary: { dims: 4, base: 100 },
  schedule: { kind: 'blockwise', queryBlock: 3, keyBlock: 5 },
  projection: { bias: false, init: normalInit(0.6) },
}
const ring: BlockwiseAttentionOptions = { ...options, schedule: { kind: 'ring', devices: 3 } }

describeMixer('BlockwiseAttention, blocks', (seed) => new BlockwiseAttention(options, new Rng(seed)), D)
describeMixer('BlockwiseAttention, a ring of three', (seed) => new BlockwiseAttention(ring, new Rng(seed)), D)

test('every schedule gives what softmax attention gives', async () => {
  await within(async () => {
    const plain = new SoftmaxAttention({ ...options, window: 0 }, new Rng(1))
    const x = normal(new Rng(2), [2, 17, D], 1)
    const expected = await read(plain.forward(x).y)
    for (const schedule of [
      { kind: 'blockwise', queryBlock: 4, keyBlock: 16 },
      { kind: 'blockwise', queryBlock: 1, keyBlock: 1 },
      { kind: 'ring', devices: 1 },
      { kind: 'ring', devices: 4 },
      { kind: 'ring', devices: 17 },
    ] as const) {
      const mixer = new BlockwiseAttention({ ...options, schedule }, new Rng(1))
      expectClose(await read(mixer.forward(x).y), expected, 1e-5, JSON.stringify(schedule))
      mixer.dispose()
    }
    plain.dispose()
  })
})

test('heads that cannot be shared out are refused', () => {
  expect(() => new BlockwiseAttention({ ...options, nKvHeads: 4 }, new Rng(1))).toThrow(
    /expected a multiple of nKvHeads/,
  )
})
