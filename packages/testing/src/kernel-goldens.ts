import { vjp } from '@mneme/core-tensor'
import { getBackend, type Tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type Golden, type GoldenTensor, goldens, toTensor } from './goldens.js'
import { read, within } from './subject.js'
import { expectClose } from './tolerance.js'

/** float32 against float64, both by the same formula; webgpu has rougher exp, log and division. */
const limits = () => (getBackend() === 'webgpu' ? { forward: 1e-4, gradient: 1e-3 } : { forward: 1e-5, gradient: 1e-4 })

export type Values<K extends string> = Readonly<Record<K, Tensor>>
export interface Kernel {
  /** Names of the golden's inputs, in the order that gradients are asked for. */
  readonly inputs: readonly string[]
  /** The golden's outputs, the main one first. */
  run(inputs: Values<string>, golden: Golden): Values<string>
}

/** Binds the names of inputs to what is computed from them. */
export const kernel = <K extends string>(
  inputs: readonly K[],
  run: (inputs: Values<K>, golden: Golden) => Values<string>,
): Kernel => ({ inputs, run })

/** Holds functions to the goldens of their names: outputs, final states, and both sets of gradients. */
export function describeKernels(kernels: Readonly<Record<string, Kernel>>): void {
  for (const golden of goldens()) {
    const found = kernels[golden.name]
    if (found !== undefined) describeKernel(golden, found)
  }
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
