import { softmaxAttention, vjp } from '@mneme/core-tensor'
import { dispose, memory, setBackend, type Tensor, tensor, tidy, util } from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'

type Inputs = Parameters<typeof softmaxAttention>[0]
type Attrs = NonNullable<Parameters<typeof softmaxAttention>[1]>
type Shapes = Readonly<Record<string, readonly number[]>>

/** Heads of widths K and V, two to a group, T queries over S keys. */
const heads = (T: number, S: number, K: number, V: number): Shapes => ({
  q: [1, T, 2, K],
  k: [1, S, 1, K],
  v: [1, S, 1, V],
})

/** How an input is drawn from a uniform number in (-1, 1). */
const kinds: Readonly<Record<string, (x: number) => number>> = {
  logForget: (x) => -Math.abs(x),
  slopes: Math.abs,
  keyMask: (x) => (x > -0.7 ? 1 : 0),
  queryDocuments: (x) => (x > 0 ? 1 : 0),
  keyDocuments: (x) => (x > 0 ? 1 : 0),
}

function draw(shapes: Shapes): Inputs {
  let state = 7
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const values = Float32Array.from({ length: util.sizeFromShape([...shape]) }, random)
    return [name, tensor(values.map(kinds[name] ?? ((x) => 2 * x)), [...shape])] as const
  })
  return Object.fromEntries(entries) as unknown as Inputs
}

const smooth = ['q', 'k', 'v', 'bias', 'slopes', 'logForget', 'sinkLogits'] as const

/** Outputs and gradients on one backend. */
async function run(backend: string, shapes: Shapes, attrs: Attrs): Promise<Record<string, Float32Array>> {
  await setBackend(backend)
  const results = tidy(() => {
    const inputs = draw(shapes)
    const names = smooth.filter((name) => inputs[name] !== undefined)
    const { o, lse } = softmaxAttention(inputs, attrs)
    const dys = draw({ o: o.shape, lse: lse.shape }) as unknown as Record<'o' | 'lse', Tensor>
    const grads = vjp(
      () => Object.values(softmaxAttention(inputs, attrs)),
      names.map((name) => inputs[name] as Tensor),
      [dys.o, dys.lse],
    )
    return { o, lse, ...Object.fromEntries(grads.map((grad, i) => [`d ${names[i]}`, grad])) }
  })
  const values: Record<string, Float32Array> = {}
  for (const [name, result] of Object.entries(results)) values[name] = Float32Array.from(await result.data())
  dispose(results)
  return values
}

/** RMS of the difference over RMS of the expected values. */
function distance(expected: Float32Array, got: Float32Array | undefined): number {
  let [error, size] = [0, 0]
  for (const [i, value] of expected.entries()) {
    error += (value - (got?.[i] ?? Number.NaN)) ** 2
    size += value ** 2
  }
  return error === 0 ? 0 : Math.sqrt(error / size)
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('softmaxAttention on webgpu equals the reference over several workgroups and tiles', () => {
  const cases: Readonly<Record<string, readonly [Shapes, Attrs]>> = {
    'causal, wide heads': [heads(70, 70, 100, 36), {}],
    'one query over a cache': [heads(1, 130, 8, 8), {}],
    'a window with first keys and gates': [
      { ...heads(70, 131, 8, 5), logForget: [1, 131, 2], sinkLogits: [2] },
      { window: 20, sinks: 3 },
    ],
    'a bias, in a window': [{ ...heads(66, 70, 4, 3), bias: [1, 2, 66, 70] }, { window: 9 }],
    'slopes to both sides, masked': [{ ...heads(66, 40, 5, 8), slopes: [2], keyMask: [1, 40] }, { causal: false }],
    'documents, capped, in a window to both sides': [
      { ...heads(70, 70, 4, 4), sinkLogits: [2], queryDocuments: [1, 70], keyDocuments: [1, 70] },
      { causal: false, window: 30, softCap: 2 },
    ],
  }
  test.each(Object.entries(cases))('%s', async (_name, [shapes, attrs]) => {
    const expected = await run('cpu', shapes, attrs)
    const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
    const got = await run('webgpu', shapes, attrs)
    // the kernel ran, not the reference
    expect(pipelines.mock.calls.map(([pipeline]) => pipeline.label)).toContain('softmaxAttention')
    expect(Object.keys(got)).toEqual(Object.keys(expected))
    // exponentials of the device, and sums in another order
    for (const [name, values] of Object.entries(expected)) expect(distance(values, got[name]), name).toBeLessThan(1e-4)
  })
})

test('one dispatch forward and three backward, at any length, and no tensor is left', async () => {
  await setBackend('webgpu')
  const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
  for (const T of [3, 150]) {
    const before = memory().numTensors
    tidy(() => {
      const { q, k, v } = draw(heads(T, T, 4, 4))
      vjp(() => [softmaxAttention({ q, k, v }).o], [q, k, v], [q])
    })
    const ours = pipelines.mock.calls
      .map(([pipeline]) => pipeline.label)
      .filter((label) => label.startsWith('softmaxAttention'))
    const backward = ['rows', 'queries', 'keys'].map((pass) => `softmaxAttention.${pass}`)
    expect(ours).toEqual(['softmaxAttention', ...backward])
    expect(memory().numTensors).toBe(before)
    pipelines.mockClear()
  }
})
