import { Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { goldens } from '@mneme/testing/goldens'
import { describeLayer } from '@mneme/testing/layer-goldens'
import { expectClose } from '@mneme/testing/tolerance'
import type { Tensor } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { LMU, legendreDelay } from './lmu.js'

const D = 5

describeMixer('LMU', (seed) => new LMU({ dModel: D, dHidden: D, dMemory: 4, window: 9 }, new Rng(seed)), D)
describeMixer('LMU, wider', (seed) => new LMU({ dModel: D, dHidden: 8, dMemory: 7, window: 20 }, new Rng(seed)), D)

describeLayer<Tensor, LMU>('lmu-cell', {
  make: (config) =>
    new LMU(
      {
        dModel: Number(config.input_size),
        dHidden: Number(config.hidden_size),
        dMemory: Number(config.memory_size),
        window: Number(config.theta),
      },
      new Rng(0),
    ),
  paths: {
    'W_u.weight': 'uProj.weight',
    'W_u.bias': 'uProj.bias',
    'W_h.weight': 'hProj.weight',
    'W_h.bias': 'hProj.bias',
    A: 'transition',
    B: 'input',
  },
  output: 'h',
  states: { 'state.m': (m) => m },
})

for (const golden of goldens()) {
  if (golden.name !== 'lmu-cell') continue
  describe(`golden ${golden.name}`, () => {
    test('A, B and the impulse that follows from them', () => {
      const config = golden.json('config')
      const { A, B } = legendreDelay(Number(config.memory_size), Number(config.theta))
      const stored = golden.read('weights')
      const values = (name: string): ArrayLike<number> => stored.get(name)?.values ?? []
      expectClose(
        A.flatMap((row) => [...row]),
        values('A'),
        1e-6,
        'A',
      )
      expectClose(B, values('B'), 1e-6, 'B')
      const T = Number(config.seq_len)
      const impulse = new Float64Array(B.length * T)
      let m = B
      for (let t = 0; t < T; t++) {
        for (const [i, value] of m.entries()) impulse[i * T + t] = value
        const held = m
        m = Float64Array.from(A, (row) => row.reduce((sum, a, j) => sum + a * (held[j] as number), 0))
      }
      expectClose(impulse, values('H'), 1e-5, 'H')
    })
  })
}
