import {
  type AnyOp,
  allOps,
  drawInputs,
  gru,
  kernelRefusals,
  leakyRnn,
  linearCrossEntropy,
  lstm,
  minGru,
  type OpExample,
  Rng,
  slstm,
  sru,
  toTensors,
  vjp,
} from '@mneme/core-tensor'
import { dispose, mul, setBackend, type Tensor, tidy, zeros } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'

/** Outputs, and gradients by all floats, of inputs that are drawn and made `louder` times larger where named. */
async function results(backend: string, op: AnyOp, example: OpExample<unknown>, louder = {}): Promise<Float32Array[]> {
  await setBackend(backend)
  const all = tidy(() => {
    const inputs: Record<string, Tensor> = toTensors(drawInputs(op, example, new Rng(1)))
    for (const [name, factor] of Object.entries(louder)) inputs[name] = mul(inputs[name] as Tensor, factor as number)
    const call = (): Tensor[] => Object.values(op(inputs, example.attrs ?? {})) as Tensor[]
    const outputs = call()
    const floats = Object.values(inputs).filter(({ dtype }) => dtype === 'float32')
    return [...outputs, ...vjp(call, floats, outputs)]
  })
  const values = await Promise.all(all.map(async (t) => Float32Array.from(await t.data())))
  dispose(all)
  return values
}

function relative(got: Float32Array, expected: Float32Array): number {
  const error = expected.reduce((total, x, i) => total + (x - (got[i] as number)) ** 2, 0)
  return Math.sqrt(
    error /
      Math.max(
        1e-12,
        expected.reduce((total, x) => total + x * x, 0),
      ),
  )
}

/** An op with its sheet, which tells how its inputs are drawn. */
function listed({ spec }: { readonly spec: { readonly name: string } }): AnyOp {
  return allOps.find((op) => op.spec.name === spec.name) as AnyOp
}

const wide: readonly [AnyOp, OpExample<unknown>][] = [
  [listed(gru), { dims: { B: 1, T: 2, P: 900, E: 300 } }],
  [listed(lstm), { dims: { B: 1, T: 2, P: 1200, E: 300 } }],
  [listed(leakyRnn), { dims: { B: 1, T: 2, E: 300 }, attrs: { leak: 0.3 } }],
  [listed(slstm), { dims: { B: 1, T: 2, H: 2, K: 65, G: 260, P: 520, E: 130 } }],
  [listed(linearCrossEntropy), { dims: { N: 33, D: 37, V: 600 } }],
]

test.each(wide)('%# is the reference where a workgroup goes round more than once', async (op, example) => {
  // a weight of so many numbers around 1 would only saturate gates
  const quiet = op === listed(linearCrossEntropy) ? {} : { weight: 0.05 }
  const expected = await results('cpu', op, example, quiet)
  const got = await results('webgpu', op, example, quiet)
  for (const [i, values] of expected.entries()) {
    expect(relative(got[i] as Float32Array, values), `${op.spec.name} ${i}`).toBeLessThan(1e-3)
  }
})

const loud: readonly [AnyOp, OpExample<unknown>, object][] = [
  [listed(gru), { dims: { B: 2, T: 500, P: 9, E: 3 } }, { projected: 500 }],
  [listed(lstm), { dims: { B: 2, T: 500, P: 12, E: 3 } }, { projected: 500 }],
  [listed(leakyRnn), { dims: { B: 2, T: 500, E: 3 }, attrs: { leak: 0.01 } }, { projected: 500 }],
  [listed(slstm), { dims: { B: 2, T: 500, H: 1, K: 3, G: 12, P: 12, E: 3 } }, { projected: 500 }],
  [listed(minGru), { dims: { B: 2, T: 500, P: 6, E: 3 } }, { projected: 500 }],
  [listed(sru), { dims: { B: 2, T: 500, E: 3 } }, { candidate: 500, forget: 500 }],
]

test.each(loud)('%# stays finite where gates are shut or open for good', async (op, example, louder) => {
  for (const values of await results('webgpu', op, example, louder)) {
    expect(values.every(Number.isFinite), op.spec.name).toBe(true)
  }
})

test('refuses a width that does not fit in workgroup memory, by its name', async () => {
  await setBackend('webgpu')
  const { h } = tidy(() => lstm({ projected: zeros([1, 1, 2400]), weight: zeros([2400, 600]) }))
  expect(h.shape).toEqual([1, 1, 600])
  h.dispose()
  const reason =
    'lstm on webgpu: reference used, 600 units need 16800 bytes of workgroup memory, 16384 are planned for.'
  expect(kernelRefusals()).toContain(reason)
})
