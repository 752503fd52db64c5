import { normal, Rng } from '@mneme/core-tensor'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { tensor, type Variable, zeros } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { DiscreteMamba2 } from './discrete-mamba2.js'

const options = {
  dModel: 4,
  nHeads: 2,
  dHead: 3,
  dState: 2,
  nGroups: 1,
  convWidth: 2,
  convBias: true,
  activation: 'identity',
  chunk: 4,
} as const

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Values of a variable, row by row. */
async function rowsOf(v: Variable): Promise<number[][]> {
  const values = Array.from(await read(v))
  const width = v.shape.at(-1) as number
  return Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width))
}

describe('DiscreteMamba2', () => {
  test('the map in has 2 E + 2 G N + H rows', () => {
    const mixer = new DiscreteMamba2(options, new Rng(1))
    expect(mixer.inProj.weight.shape).toEqual([2 * 6 + 2 * 2 + 2, 4])
    mixer.dispose()
  })

  test('is its matrix, M_ts = C_t·B_s Π a_r below the diagonal and D more on it, times x', async () => {
    await within(async () => {
      const mixer = new DiscreteMamba2(options, new Rng(1))
      const [P, N, E, T] = [3, 2, 6, 5]
      // as before distilling: the convolution passes on, the gate is 1, and so is the map out
      mixer.conv.weight.assign(tensor(Array.from({ length: E + 2 * N }, () => [0, 1])))
      mixer.gateBias?.assign(tensor(Array(E).fill(1.2784645)))
      const weight = await rowsOf(mixer.inProj.weight)
      const [first, z] = [E + 2 * N, E]
      mixer.inProj.weight.assign(tensor(weight.map((row, i) => (i >= first && i < first + z ? row.map(() => 0) : row))))
      mixer.outProj.weight.assign(
        tensor(Array.from({ length: 4 }, (_, i) => Array.from({ length: E }, (_, j) => +(i === j)))),
      )
      const input = normal(new Rng(2), [1, T, 4], 1)
      const u = await rowsOf(input as Variable)
      const projected = u.map((token) =>
        weight.map((row) => row.reduce((sum, w, i) => sum + w * (token[i] as number), 0)),
      )
      const at = (t: number, i: number): number => (projected[t] as number[])[i] as number
      const expected: number[] = []
      for (let t = 0; t < T; t++) {
        for (let channel = 0; channel < 4; channel++) {
          const h = Math.floor(channel / P)
          let y = at(t, channel)
          for (let s = 0; s <= t; s++) {
            let m = 0
            for (let n = 0; n < N; n++) m += at(t, E + N + n) * at(s, E + n)
            for (let r = s + 1; r <= t; r++) m *= sigmoid(-at(r, first + z + h))
            y += m * at(s, channel)
          }
          expected.push(y)
        }
      }
      expectClose(await read(mixer.forward(input).y), expected, 1e-5, 'outputs')
      mixer.dispose()
    })
  })

  test('decays of any size: where a gate is far open or shut nothing overflows', async () => {
    await within(async () => {
      const mixer = new DiscreteMamba2(options, new Rng(1))
      const { y } = mixer.forward(normal(new Rng(3), [1, 4, 4], 1e4))
      expect((await read(y)).every(Number.isFinite)).toBe(true)
      expectClose(await read(mixer.forward(zeros([1, 3, 4])).y), new Float32Array(12), 0, 'nothing')
      mixer.dispose()
    })
  })
})
