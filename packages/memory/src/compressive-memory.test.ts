import { normal, normalInit, parameter, type Recorder, Rng, valueAndGrads } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { eye, mul, pad, reshape, sum, type Tensor, tile } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { CompressiveMemory, type CompressiveMemoryOptions } from './compressive-memory.js'

const [D, H, K] = [6, 2, 3]
const base: CompressiveMemoryOptions = {
  dModel: D,
  nHeads: H,
  dHead: K,
  segment: 4,
  memory: 4,
  compressed: 3,
  rate: 2,
  compression: 'conv',
  cut: true,
  projection: { bias: false, init: normalInit(0.5) },
}

function make(variant: Partial<CompressiveMemoryOptions> = {}): CompressiveMemory {
  const rng = new Rng(1)
  const vectors = () => parameter(normal(rng, [H, K], 0.5))
  return new CompressiveMemory({ ...base, ...variant }, { content: vectors(), position: vectors() }, rng)
}

const draw = (seed: number, B: number, T: number): Tensor => normal(new Rng(seed), [B, T, D], 1)

/** Every tap the same multiple of the identity. */
function setTaps(mixer: CompressiveMemory, rate: number, value: number): void {
  mixer.convWeight?.assign(mul(tile(reshape(eye(D), [D, D, 1]), [1, 1, rate]), value))
  mixer.convBias?.assign(mul(mixer.convBias, 0))
}

describe('CompressiveMemory', () => {
  test('means of single rows: the same as that much more plain memory', async () => {
    await within(async () => {
      const x = draw(2, 2, 21)
      const longer = make({ memory: 7, compressed: 0 })
      const mixer = make({ rate: 1, compression: 'mean' })
      expectClose(await read(mixer.forward(x).y), await read(longer.forward(x).y), 1e-6, 'outputs')
    })
  })

  test('slots fill when memory overflows: min(n_cm, k L / c) rows after k overflows', async () => {
    await within(async () => {
      const mixer = make({ compressed: 5 })
      const x = draw(3, 2, 24)
      for (let segments = 0; segments <= 6; segments++) {
        const { compressed, memory } =
          segments === 0 ? mixer.initialState() : mixer.forward(span(x, 0, 4 * segments)).state
        expect(memory?.shape[1] ?? 0).toBe(Math.min(4 * segments, 4))
        expect(compressed?.shape[1] ?? 0).toBe(Math.min(5, Math.max(0, segments - 1) * 2))
      }
      expectClose(
        await read(mixer.forward(span(x, 0, 4)).state.memory as Tensor),
        await read(span(x, 0, 4)),
        1e-6,
        'memory after one segment',
      )
    })
  })

  test('what falls out of memory is compressed, not what comes in', async () => {
    await within(async () => {
      const mixer = make()
      const x = draw(4, 2, 8)
      const { compressed } = mixer.forward(x).state
      expectClose(await read(compressed as Tensor), await read(mixer.compress(span(x, 0, 4))), 1e-6, 'slots')
    })
  })

  test('rows that the rate does not divide: zeros stand in front', async () => {
    await within(async () => {
      for (const compression of ['max', 'mean', 'conv'] as const) {
        const mixer = make({ compression, rate: 3 })
        const old = draw(5, 2, 4)
        const padded = pad(old, [
          [0, 0],
          [2, 0],
          [0, 0],
        ])
        expect(mixer.compress(old).shape).toEqual([2, 2, D])
        expectClose(await read(mixer.compress(old)), await read(mixer.compress(padded)), 1e-6, compression)
      }
    })
  })

  test('with the tail dropped: as many zeros in front as rows are over, and the last rows are lost', async () => {
    await within(async () => {
      const mixer = make({ compression: 'mean', rate: 3, dropsTail: true, memory: 3, compressed: 9 })
      const old = draw(5, 1, 5)
      const kept = pad(span(old, 0, 4), [
        [0, 0],
        [2, 0],
        [0, 0],
      ])
      expectClose(await read(mixer.compress(old)), await read(mixer.compress(kept)), 1e-6, 'slots')
      const { state } = mixer.forward(draw(6, 1, 12))
      // rows that fall out: 1 of the first segment, alone with a zero in front too few for a slot, then 4 each
      expect(state.compressed?.shape[1]).toBe(2)
    })
  })

  test('a convolution of taps I / c is the mean', async () => {
    await within(async () => {
      const mixer = make()
      setTaps(mixer, 2, 0.5)
      const old = draw(6, 2, 6)
      expectClose(
        await read(mixer.compress(old)),
        await read(make({ compression: 'mean' }).compress(old)),
        1e-6,
        'rows',
      )
    })
  })

  test('reconstruction loss: 0 where each row is kept as it is, above 0 elsewhere', async () => {
    await within(async () => {
      const mixer = make({ rate: 1 })
      const [h, old] = [draw(7, 2, 4), draw(8, 2, 4)]
      const before = await read(mixer.reconstructionLoss(h, old, mixer.compress(old)))
      for (const value of before) expect(value).toBeGreaterThan(1e-3)
      setTaps(mixer, 1, 1)
      const after = await read(mixer.reconstructionLoss(h, old, mixer.compress(old)))
      for (const value of after) expect(value).toBeLessThan(1e-10)
    })
  })

  test('reconstruction loss moves the compression only; the outputs never do', async () => {
    await within(async () => {
      const mixer = make()
      const h = draw(9, 2, 4)
      const old = draw(10, 2, 4)
      const rest = [mixer.qProj.weight, mixer.kvProj.weight, mixer.oProj.weight]
      const taps = [mixer.convWeight, mixer.convBias].filter((v) => v !== null)
      const own = valueAndGrads(() => sum(mixer.reconstructionLoss(h, old, mixer.compress(old))), [...taps, ...rest, h])
      for (const g of own.grads.slice(0, 2))
        expect(Math.max(...(await read(g as Tensor)).map(Math.abs))).toBeGreaterThan(0)
      expect(own.grads.slice(2)).toEqual([null, null, null, null])
      const task = valueAndGrads(() => sum(mul(mixer.forward(draw(11, 2, 16)).y, draw(12, 2, 16))), [...taps, ...rest])
      expect(task.grads.slice(0, 2)).toEqual([null, null])
      for (const g of task.grads.slice(2)) expect(g).not.toBeNull()
    })
  })

  test('a pass records the reconstruction loss at every overflow, differentiable', async () => {
    await within(async () => {
      const mixer = make()
      const seen: Tensor[] = []
      const record: Recorder = {
        record: (name, value) => void (name === 'reconstruction' && seen.push(value)),
        at: () => record,
      }
      const x = draw(13, 2, 12)
      const { grads } = valueAndGrads(() => {
        mixer.forward(x, undefined, { training: true, record })
        return sum(seen[0] as Tensor)
      }, [mixer.convWeight as NonNullable<typeof mixer.convWeight>])
      expect(seen.length).toBe(2)
      expect(Math.max(...(await read(grads[0] as Tensor)).map(Math.abs))).toBeGreaterThan(0)
    })
  })

  test('sizes that make no sense are refused', () => {
    expect(() => make({ rate: 0 })).toThrow(/rate >= 1, got 4, 4, 3 and 0/)
  })
})
