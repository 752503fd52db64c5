import { normal, Rng, turingMemory } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, fill, sum, type Tensor, tensor, tensor3d, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { TuringMemory } from './turing-memory.js'

const [FAR, NONE] = [40, -40]

/** What a token tells both heads: the reader's key and strength, the writer's, and what it erases and adds. */
function heads(C: number, { key = 0, strength = NONE, erase = NONE, news = 0 }): Tensor {
  const head = [...Array<number>(C).fill(key), strength, 0, 0, 0, 0, 0]
  const all = [...head, ...head, ...Array<number>(C).fill(erase), ...Array<number>(C).fill(news)]
  return tensor3d(all, [1, 1, all.length])
}

function run(tokens: Tensor[], memory: Tensor): ReturnType<typeof turingMemory> {
  const [, N, C] = memory.shape as [number, number, number]
  const projected = concat(tokens, 1)
  return turingMemory({
    projected,
    weight: zeros([projected.shape[2] as number, C]),
    memory,
    read: zeros([1, C]),
    readWeights: fill([1, N], 1 / N),
    writeWeights: fill([1, N], 1 / N),
  })
}

describe('turingMemory', () => {
  test('two writes to empty memory of two rows, by hand', async () => {
    await within(async () => {
      const news = Math.atanh(0.8)
      const write = heads(1, { erase: FAR, news })
      const empty = zeros([1, 2, 1])
      expectClose(await read(run([write], empty).memoryAfter), [0.4, 0.4], 1e-5, 'after one')
      expectClose(await read(run([write, write], empty).memoryAfter), [0.6, 0.6], 1e-5, 'after two')
    })
  })

  test('in empty memory all rows are alike to any key, however sure: what is read is 0', async () => {
    await within(async () => {
      const sure = heads(2, { key: FAR, strength: FAR })
      const { reads, readWeightsAfter } = run([sure], zeros([1, 4, 2]))
      expect([...(await read(reads))]).toEqual([0, 0])
      expectClose(await read(readWeightsAfter), Array(4).fill(0.25), 1e-5, 'weights')
    })
  })

  test('at strength 0 it reads all rows alike, and with nothing erased or added memory stays', async () => {
    await within(async () => {
      const memory = tensor3d([1, 2, 3, 4, 8, 6], [1, 3, 2])
      const { reads, memoryAfter } = run([heads(2, {})], memory)
      expectClose(await read(reads), [4, 4], 1e-5, 'read')
      expectClose(await read(memoryAfter), await read(memory), 1e-5, 'memory')
    })
  })

  test('a row that the key is surely like is overwritten; the others stay', async () => {
    await within(async () => {
      const memory = tensor3d([1, 1, 1, -1, -1, 1], [1, 3, 2])
      const write = heads(2, { key: FAR, strength: FAR, erase: FAR, news: Math.atanh(0.5) })
      const { memoryAfter, reads } = run([write], memory)
      expectClose(await read(memoryAfter), [0.5, 0.5, 1, -1, -1, 1], 1e-5, 'memory')
      expectClose(await read(reads), [1, 1], 1e-5, 'read before the write')
    })
  })
})

describe('TuringMemory', () => {
  test('with W_o = [1 0] it leaves the sequence as it is', async () => {
    await within(async () => {
      const D = 3
      const mixer = new TuringMemory({ dModel: D, rows: 4, dRow: 2, addressing: 'content' }, new Rng(1))
      const identity = tensor([1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0], [D, D + 2])
      mixer.outProj.weight.assign(identity)
      mixer.outProj.bias?.assign(zeros([D]))
      const x = normal(new Rng(2), [2, 7, D], 1)
      expectClose(await read(mixer.forward(x).y), await read(x), 1e-6, 'outputs')
      mixer.dispose()
    })
  })

  test('weights of both heads sum to 1, whatever the addressing', async () => {
    await within(async () => {
      for (const addressing of ['content', 'full'] as const) {
        const mixer = new TuringMemory({ dModel: 3, rows: 4, dRow: 2, addressing }, new Rng(3))
        const { state } = mixer.forward(normal(new Rng(4), [1, 9, 3], 2))
        const sums = [state.readWeights, state.writeWeights].map((w) => sum(w))
        for (const total of sums) expectClose(await read(total), [1], 1e-5, addressing)
        mixer.dispose()
      }
    })
  })
})
