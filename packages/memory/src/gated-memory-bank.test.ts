import { type Linear, normal, Rng, softmaxAttention } from '@mneme/core-tensor'
import { read, span, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { add, expandDims, eye, fill, mul, reshape, slice, type Tensor, zerosLike } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { GatedMemoryBank } from './gated-memory-bank.js'

const [D, N] = [6, 6]
const make = (form: 'paper' | 'code', nHeads = 1): GatedMemoryBank =>
  new GatedMemoryBank({ dModel: D, nHeads, slots: N, form }, new Rng(1))

const draw = (seed: number, T: number): Tensor => normal(new Rng(seed), [1, T, D], 1)

/** A gate that is the same for all. */
function setGate(gate: Linear, bias: number): void {
  gate.weight.assign(zerosLike(gate.weight))
  gate.bias?.assign(fill([D], bias))
}

describe('GatedMemoryBank', () => {
  test('paper: an output gate that is shut gives nothing', async () => {
    await within(async () => {
      const bank = make('paper', 2)
      setGate((bank.write as unknown as { outputGate: Linear }).outputGate, -200)
      expect((await read(bank.forward(draw(2, 2 * N)).y)).every((value) => value === 0)).toBe(true)
    })
  })

  test('paper: nothing taken in and nothing forgotten leaves the bank as it is', async () => {
    await within(async () => {
      const bank = make('paper', 2)
      const gates = bank.write as unknown as { inputGate: Linear; forgetGate: Linear }
      setGate(gates.inputGate, -200)
      setGate(gates.forgetGate, 200)
      const { state } = bank.forward(draw(2, 3 * N))
      expect(await read(state.bank)).toEqual(await read(expandDims(eye(N), 0)))
    })
  })

  test('paper: the first read through plain keys and values is the attention itself', async () => {
    await within(async () => {
      const bank = make('paper')
      bank.kProj.weight.assign(eye(D))
      bank.vProj.weight.assign(eye(D))
      const gate = (bank.write as unknown as { outputGate: Linear }).outputGate
      setGate(gate, 200)
      const x = draw(3, 4)
      const q = reshape(bank.qProj.forward(x), [1, 4, 1, D])
      const units = reshape(eye(N), [1, N, 1, D])
      const { o } = softmaxAttention({ q, k: units, v: units }, { causal: false })
      const weights = await read(bank.forward(x).y)
      expectClose(weights, await read(reshape(o, [1, 4, D])), 1e-6, 'weights')
      for (let t = 0; t < 4; t++) expect(weights.slice(t * N, (t + 1) * N).reduce((a, b) => a + b)).toBeCloseTo(1, 5)
    })
  })

  test('values grow by at most 1 a segment', async () => {
    await within(async () => {
      for (const form of ['paper', 'code'] as const) {
        const bank = make(form, 2)
        let { state } = bank.forward(mul(draw(4, N), 50))
        for (let s = 2; s <= 4; s++) {
          const before = Math.max(...(await read(state.bank)).map(Math.abs))
          state = bank.forward(mul(draw(4 + s, N), 50), state).state
          expect(Math.max(...(await read(state.bank)).map(Math.abs)), form).toBeLessThanOrEqual(1 + before)
        }
      }
    })
  })

  test('paper: after however many segments, values are within 1 / (1 − f), f what the forget gate keeps', async () => {
    await within(async () => {
      const bank = make('paper', 2)
      const gates = bank.write as unknown as { inputGate: Linear; forgetGate: Linear }
      setGate(gates.inputGate, 200)
      setGate(gates.forgetGate, Math.log(3)) // f = 3/4
      bank.vProj.weight.assign(mul(bank.vProj.weight, 100))
      let { state } = bank.forward(draw(20, N))
      for (let s = 1; s < 30; s++) state = bank.forward(draw(20 + s, N), state).state
      const largest = Math.max(...(await read(state.bank)).map(Math.abs))
      expect(largest).toBeLessThanOrEqual(4 + 1e-3)
      expect(largest).toBeGreaterThan(1)
    })
  })

  test('code: gates of no weight take half and keep σ(1)', async () => {
    await within(async () => {
      const bank = make('code', 2)
      const gates = bank.write as unknown as { inputProj: Linear; memoryProj: Linear; secondNorm: Linear }
      for (const gate of [gates.inputProj, gates.memoryProj]) {
        gate.weight.assign(zerosLike(gate.weight))
        gate.bias?.assign(zerosLike(gate.bias))
      }
      // a norm of no weight leaves its bias, so that what is taken in is known
      gates.secondNorm.weight.assign(zerosLike(gates.secondNorm.weight))
      gates.secondNorm.bias?.assign(fill([D], 0.3))
      const { y } = bank.forward(draw(5, N))
      const expected = add(mul(expandDims(eye(N), 0), 0.7310586), 0.5 * Math.tanh(0.3))
      expectClose(await read(y), await read(expected), 1e-6, 'slots')
    })
  })

  test('a segment reads what the one before has written, slot by slot', async () => {
    await within(async () => {
      const bank = make('code', 2)
      const x = draw(6, 2 * N)
      const { y, state } = bank.forward(span(x, 0, N))
      expect(await read(state.bank)).toEqual(await read(y))
      const { state: open } = bank.forward(span(x, 0, N - 2))
      expectClose(await read(open.rows as Tensor), await read(slice(y, [0, 0, 0], [1, N - 2, D])), 1e-6, 'rows so far')
    })
  })

  test('sizes that make no sense are refused', () => {
    const at = (slots: number, nHeads: number) => () =>
      new GatedMemoryBank({ dModel: D, nHeads, slots, form: 'paper' }, new Rng(0))
    expect(at(0, 1)).toThrow(/slots: expected a whole number, at least 1, got 0/)
    expect(at(3, 4)).toThrow(/nHeads: expected a divisor of dModel = 6, got 4/)
  })
})
