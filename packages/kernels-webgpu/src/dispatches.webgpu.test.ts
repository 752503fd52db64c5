import {
  type AnyOp,
  allOps,
  complexLinearScan,
  crossEntropy,
  drawInputs,
  embedding,
  gru,
  layerNorm,
  leakyRnn,
  lstm,
  minGru,
  type OpExample,
  Rng,
  rmsNorm,
  selectiveScan,
  shortConv,
  slstm,
  sru,
  toTensors,
  vjp,
  wkv4,
} from '@mneme/core-tensor'
import { dispose, memory, setBackend, type Tensor, tidy } from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'

type Example = OpExample<unknown>

/** An op with its sheet, which tells how its inputs are drawn. */
function listed({ spec }: { readonly spec: { readonly name: string } }): AnyOp {
  return allOps.find((op) => op.spec.name === spec.name) as AnyOp
}

interface Case {
  readonly op: AnyOp
  /** With every optional input, at a given length. */
  example(T: number): Example
  /** Labels of the pipelines, forward and then backward. */
  readonly dispatches: readonly string[]
}

/** Of a recurrent cell with all its inputs. */
function loopOf(cell: string, ...more: readonly string[]): string[] {
  const shared = (...steps: readonly string[]): string[] => steps.map((step) => `tokenLoop.${step}`)
  const begin = shared('pack', 'transpose')
  const prepared = [...begin, ...shared('before', 'gates', ...more)]
  return [...begin, cell, ...prepared, `${cell}.reverse`, ...shared('parameters', 'starts'), 'zeros', 'zeros']
}

const cases: readonly Case[] = [
  {
    op: listed(complexLinearScan),
    example: (T) => ({ dims: { B: 2, T, D: 3 } }),
    dispatches: ['complexLinearScan', 'complexLinearScan.backward', 'complexLinearScan.factor'],
  },
  {
    op: listed(complexLinearScan),
    example: (T) => ({ dims: { B: 2, T, D: 3 }, forms: { ar: 'D', ai: 'D' } }),
    dispatches: [
      'complexLinearScan',
      'complexLinearScan.backward',
      'complexLinearScan.factor',
      'complexLinearScan.rows',
    ],
  },
  {
    op: listed(selectiveScan),
    example: (T) => ({ dims: { B: 2, T, D: 3, N: 4 } }),
    dispatches: [
      ...['prepare', '', 'prepare', 'borders', 'reverse', 'matrices', 'sequences', 'parameters'].map((step) =>
        step === '' ? 'selectiveScan' : `selectiveScan.${step}`,
      ),
      'zeros',
    ],
  },
  {
    op: listed(wkv4),
    example: (T) => ({ dims: { B: 2, T, D: 3 } }),
    dispatches: [
      'wkv4.pack',
      'wkv4',
      'wkv4.pack',
      'wkv4.borders',
      'wkv4.backward',
      'wkv4.parameters',
      'zeros',
      'zeros',
    ],
  },
  {
    op: listed(shortConv),
    example: (T) => ({ dims: { B: 2, T, D: 3, W: 4, P: 3 } }),
    dispatches: ['shortConv', 'shortConv.rows', 'shortConv.partials', 'shortConv.parameters'],
  },
  {
    op: listed(layerNorm),
    // long rows here, where the others have long sequences
    example: (T) => ({ dims: { N: 2, D: T } }),
    dispatches: ['layerNorm', 'layerNorm.rows', 'norm.partials', 'norm.parameters'],
  },
  {
    op: listed(layerNorm),
    example: (T) => ({ dims: { N: T, D: 3 } }),
    dispatches: ['layerNorm', 'layerNorm.rows', 'norm.partials', 'norm.parameters'],
  },
  {
    op: listed(rmsNorm),
    example: (T) => ({ dims: { N: T, D: 3 } }),
    dispatches: ['rmsNorm', 'rmsNorm.rows', 'norm.partials', 'norm.parameters'],
  },
  {
    op: listed(crossEntropy),
    example: (T) => ({ dims: { N: 2, V: T } }),
    dispatches: ['crossEntropy', 'crossEntropy.backward'],
  },
  {
    op: listed(embedding),
    example: (T) => ({ dims: { V: 5, D: 3, N: T } }),
    dispatches: ['embedding', 'embedding.chains', 'embedding.backward'],
  },
  {
    op: listed(minGru),
    example: (T) => ({ dims: { B: 2, T, P: 6, E: 3 } }),
    dispatches: ['minGru', 'minGru.backward'],
  },
  {
    op: listed(sru),
    example: (T) => ({ dims: { B: 2, T, E: 3 } }),
    dispatches: ['sru.pack', 'sru', 'sru.pack', 'sru.backward', 'sru.parameters', 'zeros', 'zeros'],
  },
  {
    op: listed(leakyRnn),
    example: (T) => ({ dims: { B: 2, T, E: 3 }, attrs: { leak: 0.5 } }),
    dispatches: loopOf('leakyRnn'),
  },
  {
    op: listed(gru),
    example: (T) => ({ dims: { B: 2, T, P: 9, E: 3 } }),
    dispatches: loopOf('gru'),
  },
  {
    op: listed(lstm),
    example: (T) => ({ dims: { B: 2, T, P: 12, E: 3 } }),
    dispatches: loopOf('lstm', 'stack'),
  },
  {
    op: listed(slstm),
    example: (T) => ({ dims: { B: 2, T, H: 2, K: 2, G: 8, P: 16, E: 4 } }),
    dispatches: loopOf('slstm', 'stack'),
  },
]

/** Outputs, and gradients of all outputs by all inputs. */
function run({ op }: Case, example: Example): Tensor[] {
  return tidy(() => {
    const inputs = toTensors(drawInputs(op, example, new Rng(1)))
    const call = (): Tensor[] => Object.values(op(inputs, example.attrs ?? {})) as Tensor[]
    const outputs = call()
    return [...outputs, ...vjp(call, floats(inputs), outputs)]
  })
}

const floats = (inputs: Readonly<Record<string, Tensor>>): Tensor[] =>
  Object.values(inputs).filter(({ dtype }) => dtype === 'float32')

async function valuesOn(backend: string, given: Case, example: Example): Promise<Float32Array[]> {
  await setBackend(backend)
  const results = run(given, example)
  const values = await Promise.all(results.map(async (t) => Float32Array.from(await t.data())))
  dispose(results)
  return values
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(cases)('$op.spec.name', (given) => {
  test('equals the reference over many chunks, gradients too', async () => {
    const example = given.example(1000)
    const expected = await valuesOn('cpu', given, example)
    const got = await valuesOn('webgpu', given, example)
    for (const [i, values] of expected.entries()) {
      const error = values.reduce((total, x, j) => total + (x - (got[i]?.[j] ?? Number.NaN)) ** 2, 0)
      const size = values.reduce((total, x) => total + x * x, 0)
      // gradients of parameters are sums over a thousand tokens
      expect(Math.sqrt(error / Math.max(size, 1e-12)), `result ${i}`).toBeLessThan(1e-3)
    }
  })

  test('takes the same dispatches at any length, and leaves no tensor', async () => {
    await setBackend('webgpu')
    const pipelines = vi.spyOn(GPUComputePassEncoder.prototype, 'setPipeline')
    for (const T of [3, 300]) {
      const before = memory().numTensors
      const inputs = toTensors(drawInputs(given.op, given.example(T), new Rng(1)))
      const call = (): Tensor[] => Object.values(given.op(inputs)) as Tensor[]
      const cotangents = tidy(call)
      pipelines.mockClear()
      dispose(tidy(() => vjp(call, floats(inputs), cotangents)))
      const ours = pipelines.mock.calls.map(([pipeline]) => pipeline.label).filter((label) => known.has(label))
      expect(ours).toEqual(given.dispatches)
      dispose([...Object.values(inputs), ...cotangents])
      expect(memory().numTensors).toBe(before)
    }
  })
})

const known = new Set(cases.flatMap(({ dispatches }) => dispatches))
