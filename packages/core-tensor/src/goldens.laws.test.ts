import { type Golden, type GoldenTensor, goldens, toTensor } from '@mneme/testing/goldens'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { getBackend, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { vjp } from './gradients.js'
import { silu } from './nn/activations.js'
import { deltaRule } from './ops/delta-rule.js'
import { linearScan } from './ops/linear-scan.js'
import { shortConv } from './ops/short-conv.js'
import { softmaxAttention } from './ops/softmax-attention.js'

/** float32 against float64, both by the same formula; webgpu has rougher exp, log and division. */
const limits = () => (getBackend() === 'webgpu' ? { forward: 1e-4, gradient: 1e-3 } : { forward: 1e-5, gradient: 1e-4 })

type Values<K extends string> = Readonly<Record<K, Tensor>>
interface Kernel {
  /** Names of the golden's inputs, in the order that gradients are asked for. */
  readonly inputs: readonly string[]
  /** The golden's outputs, the main one first. */
  run(inputs: Values<string>, golden: Golden): Values<string>
}

/** Binds the names of inputs to what is computed from them. */
const kernel = <K extends string>(
  inputs: readonly K[],
  run: (inputs: Values<K>, golden: Golden) => Values<string>,
): Kernel => ({ inputs, run })

const attention = (window: (golden: Golden) => number): Kernel =>
  kernel(['q', 'k', 'v'], (inputs, golden) => softmaxAttention(inputs, { window: window(golden) }))

const forgetting = (window: (golden: Golden) => number): Kernel =>
  kernel(['q', 'k', 'v', 'g'], ({ g, ...inputs }, golden) =>
    softmaxAttention({ ...inputs, logForget: g }, { window: window(golden) }),
  )

/** The layout says `window 7` or `window_size=7`. */
const windowOf = (golden: Golden): number =>
  Number(/window(?: |_size=)(\d+)/.exec(String(golden.json('meta').layout))?.[1])

const kernels: Readonly<Record<string, Kernel>> = {
  'kernel-linear-recurrence': kernel(['a', 'b', 'h0'], (inputs) => linearScan(inputs)),
  'kernel-delta-rule': kernel(['q', 'k', 'v', 'beta', 'h0'], ({ h0, ...inputs }) => {
    const { o, state } = deltaRule({ ...inputs, state: h0 }, { chunk: 16 })
    return { o, final_state: state }
  }),
  'kernel-gated-delta-rule': kernel(['q', 'k', 'v', 'beta', 'g', 'h0'], ({ g, h0, ...inputs }) => {
    const { o, state } = deltaRule({ ...inputs, logDecay: g, state: h0 }, { chunk: 16 })
    return { o, final_state: state }
  }),
  'kernel-softmax-attention-causal-gqa': attention(() => 0),
  'kernel-softmax-attention-sliding-window': attention(windowOf),
  'kernel-forgetting-attention': forgetting(() => 0),
  'kernel-forgetting-attention-window': forgetting(windowOf),
  'kernel-causal-depthwise-conv': kernel(['x', 'w', 'b', 'x0'], ({ x, w, b, x0 }) => {
    const { y, tail } = shortConv({ x, weight: w, bias: b, tail: x0 })
    return { y: silu(y), last: tail }
  }),
}

for (const golden of goldens()) {
  const found = kernels[golden.name]
  if (found !== undefined) describeKernel(golden, found)
}

function describeKernel(golden: Golden, { inputs: names, run }: Kernel): void {
  describe(`golden ${golden.name}`, () => {
    const data = golden.read('data')
    const stored = (name: string): GoldenTensor => {
      const found = data.get(name)
      if (found === undefined) throw new Error(`${golden.name}: expected a tensor '${name}', got none.`)
      return found
    }
    const inputs = (): Record<string, Tensor> =>
      Object.fromEntries(names.map((name) => [name, toTensor(stored(`in.${name}`))]))
    // the file is not in the order of the outputs; the main one is the one that `grad.*` is the gradient of
    const outputs = Object.keys(golden.json('meta').shapes as object)
      .filter((name) => name.startsWith('out.'))
      .map((name) => name.slice(4))

    test('inputs and outputs are all those of the file', () => {
      const given = [...data.keys()].filter((name) => name.startsWith('in.')).map((name) => name.slice(3))
      expect([...names].sort()).toEqual(given.sort())
    })

    test('outputs and final states', async () => {
      await within(async () => {
        const results = run(inputs(), golden)
        expect(outputs.length).toBeGreaterThan(0)
        for (const name of outputs) {
          const { shape, values } = stored(`out.${name}`)
          const actual = results[name] as Tensor
          expect(actual.shape, name).toEqual(shape)
          expectClose(await read(actual), values, limits().forward, name)
        }
      })
    })

    const expectGradients = async (prefix: string, by: readonly string[]): Promise<void> => {
      const xs = inputs()
      const results = (): Tensor[] => {
        const all = run(xs, golden)
        return by.map((name) => all[name] as Tensor)
      }
      const grads = vjp(
        results,
        names.map((name) => xs[name] as Tensor),
        by.map((name) => toTensor(stored(`g.${name}`))),
      )
      for (const [i, name] of names.entries()) {
        const label = `gradient of ${by.join(' and ')} by ${name}`
        expectClose(await read(grads[i] as Tensor), stored(`${prefix}.${name}`).values, limits().gradient, label)
      }
    }

    test('gradients of the main output', async () => {
      const main = /grad\.\* = d sum\(out\.(\w+)\*/.exec(String(golden.json('meta').checks))?.[1]
      await within(() => expectGradients('grad', [String(main)]))
    })

    // a golden with one output has no second set
    if (outputs.length > 1) {
      test('gradients of all outputs together', async () => {
        await within(() => expectGradients('grad_all', outputs))
      })
    }
  })
}
