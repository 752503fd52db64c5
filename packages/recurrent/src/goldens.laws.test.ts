import { linearScan, minGru, vjp } from '@mneme/core-tensor'
import { type GoldenTensor, goldens, toTensor } from '@mneme/testing/goldens'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, getBackend, type Tensor } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { minGruCoefficients } from './min-rnn.js'

/** float32 against float64, both by the same formula; webgpu has rougher exp, log and division. */
const limits = () => (getBackend() === 'webgpu' ? { forward: 1e-4, gradient: 1e-3 } : { forward: 1e-5, gradient: 1e-4 })

type States = (hidden: Tensor, gate: Tensor, h0: Tensor) => Tensor
const forms: readonly (readonly [form: string, states: States])[] = [
  ['coefficients and scan', (hidden, gate, h0) => linearScan({ ...minGruCoefficients(hidden, gate), h0 }).h],
  ['one op', (hidden, gate, h0) => minGru({ projected: concat([hidden, gate], 2), h0 }).h],
]

for (const golden of goldens().filter(({ name }) => name === 'kernel-mingru')) {
  describe.each(forms)(`golden ${golden.name} by %s`, (_, states) => {
    const data = golden.read('data')
    const stored = (name: string): Tensor => toTensor(data.get(name) as GoldenTensor)
    const values = (name: string): ArrayLike<number> => (data.get(name) as GoldenTensor).values

    test('states of every token', async () => {
      await within(async () => {
        const h = states(stored('in.h_'), stored('in.g'), stored('in.h0'))
        expectClose(await read(h), values('out.h'), limits().forward, 'h')
      })
    })

    test('gradients by candidate, gate and first state', async () => {
      await within(async () => {
        const names = ['h_', 'g', 'h0']
        const xs = names.map((name) => stored(`in.${name}`)) as [Tensor, Tensor, Tensor]
        const grads = vjp(() => [states(...xs)], xs, [stored('g.h')])
        for (const [i, name] of names.entries()) {
          expectClose(await read(grads[i] as Tensor), values(`grad.${name}`), limits().gradient, `gradient by ${name}`)
        }
      })
    })
  })
}
