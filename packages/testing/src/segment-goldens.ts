import { affine, layerNorm, parameter, valueAndGrads } from '@mneme/core-tensor'
import { concat, reshape, type Tensor, transpose, type Variable } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { type Golden, type GoldenTensor, goldens, nextTokenLoss, toTensor } from './goldens.js'
import { read, span, within } from './subject.js'
import { expectClose, tolerances } from './tolerance.js'

interface Segment<S> {
  readonly logits: Tensor
  readonly states: readonly S[]
}

/**
 * A published language model that runs segment by segment, written out around mechanisms from its stored weights, which
 * it holds by their stored names. S: the state of one layer.
 */
export abstract class StoredSegments<S> {
  readonly weights = new Map<string, Variable>()

  /** @param prefix what stored names begin with, left out here */
  constructor(
    golden: Golden,
    private readonly length: number,
    private readonly layout: { readonly eps: number; readonly transposed: boolean; readonly prefix?: string },
  ) {
    for (const [name, value] of golden.read('weights')) {
      this.weights.set(name.replace(layout.prefix ?? '', ''), parameter(toTensor(value)))
    }
  }

  protected abstract initialStates(batch: number): readonly S[]

  /** Logits `[B, L, V]` and states after one segment of ids `[B, L]`. */
  protected abstract segment(ids: Tensor, states: readonly S[]): Segment<S>

  forward(ids: Tensor): { readonly logits: Tensor; readonly states: readonly (readonly S[])[] } {
    const [B, T] = ids.shape as [number, number]
    let states = this.initialStates(B)
    const segments: Segment<S>[] = []
    for (let t = 0; t < T; t += this.length) {
      const segment = this.segment(span(ids, t, Math.min(this.length, T - t)), states)
      segments.push(segment)
      states = segment.states
    }
    const logits = segments.map((segment) => segment.logits)
    return { logits: concat(logits, 1), states: segments.map((segment) => segment.states) }
  }

  protected weight(name: string): Variable {
    const found = this.weights.get(name)
    if (found === undefined) throw new Error(`golden: expected weights '${name}', got none.`)
    return found
  }

  protected norm(x: Tensor, name: string): Tensor {
    const { eps } = this.layout
    return layerNorm({ x, weight: this.weight(`${name}.weight`), bias: this.weight(`${name}.bias`) }, { eps }).y
  }

  protected linear(x: Tensor, name: string): Tensor {
    const stored = this.weight(`${name}.weight`)
    const weight = this.layout.transposed ? transpose(stored) : stored
    return affine({ x, weight, bias: this.weight(`${name}.bias`) }).y
  }
}

/** Our values, by their stored names, of the states after every segment. */
type StoredStates<S> = (states: readonly (readonly S[])[], stored: readonly string[]) => ReadonlyMap<string, Tensor>

/** Holds what runs segment by segment to its goldens: logits, states, loss, and gradients but for those of `unused`. */
export function describeSegments<S>(
  prefix: string,
  make: (golden: Golden) => StoredSegments<S>,
  { states: named, unused, prefix: left = '' }: { states: StoredStates<S>; unused?: RegExp; prefix?: string },
): void {
  for (const golden of goldens()) {
    if (!golden.name.startsWith(prefix)) continue
    describe(`golden ${golden.name}`, () => {
      const expected = golden.read('expected')
      const value = (name: string): GoldenTensor => expected.get(name) as GoldenTensor

      test('logits, and states after every segment', async () => {
        await within(async () => {
          const { logits, states } = make(golden).forward(toTensor(value('input_ids')))
          expectClose(await read(logits), value('logits').values, tolerances.forward(), 'logits')
          const ours = named(states, [...expected.keys()])
          expect(ours.size).toBeGreaterThan(0)
          for (const [name, state] of ours) {
            expectClose(await read(state), value(name).values, tolerances.forward(), name)
          }
        })
      })

      test('loss and gradients of every parameter', async () => {
        await within(async () => {
          const model = make(golden)
          const ids = toTensor(value('input_ids'))
          const loss = (): Tensor => nextTokenLoss(model.forward(ids).logits, ids)
          const { value: total, grads } = valueAndGrads(loss, [...model.weights.values()])
          expectClose(await read(reshape(total, [1])), value('loss').values, 1e-5, 'loss')
          const stored = new Map([...golden.read('grads')].map(([name, g]) => [name.replace(left, ''), g]))
          for (const [i, name] of [...model.weights.keys()].entries()) {
            const [wanted, g] = [stored.get(name), grads[i]]
            if (unused?.test(name) && !(wanted && g)) continue
            expectClose(await read(g as Tensor), (wanted as GoldenTensor).values, tolerances.gradient(), name)
          }
        })
      })
    })
  }
}
