import { read, within } from '@mneme/testing/subject'
import { expectClose, tolerances } from '@mneme/testing/tolerance'
import { concat, fill, slice, type Tensor, tensor, zeros } from '@tensorflow/tfjs-core'
import { describe, test } from 'vitest'
import { Rng } from '../rng.js'
import { gatedLinearAttention } from './gated-linear-attention.js'
import { type NormalisedInputs, normalisedLinearAttention, withNormaliser } from './normalised-linear-attention.js'

const [B, T, H, K, V] = [2, 17, 2, 4, 3]

function drawn(seed: number, shape: number[], f: (x: number) => number): Tensor {
  const rng = new Rng(seed)
  const size = shape.reduce((a, b) => a * b, 1)
  return tensor(
    Float32Array.from({ length: size }, () => f(rng.normal())),
    shape,
  )
}

/** Positive features, for heads that share one q and k. */
const inputs = (): NormalisedInputs => ({
  q: drawn(1, [B, T, 1, K], Math.exp),
  k: drawn(2, [B, T, 1, K], Math.exp),
  v: drawn(3, [B, T, H, V], (x) => x),
  logDecay: drawn(4, [B, T, H, K], (x) => -Math.abs(x)),
})

const between = (given: NormalisedInputs, from: number, to: number): NormalisedInputs =>
  Object.fromEntries(
    Object.entries(given).map(([name, x]: [string, Tensor]) => [
      name,
      slice(x, [0, from, 0, 0], [B, to - from, ...x.shape.slice(2)] as [number, number, number, number]),
    ]),
  ) as unknown as NormalisedInputs

describe('normalisedLinearAttention', () => {
  test('is an average: of equal values it is that value', () =>
    within(async () => {
      const { o } = normalisedLinearAttention({ ...inputs(), v: fill([B, T, H, V], 0.7) }, { eps: 0 })
      expectClose(await read(o), new Float32Array(o.size).fill(0.7), tolerances.forward(), 'o')
    }))

  test('the numerator is gatedLinearAttention, and the normaliser decays as the state does', () =>
    within(async () => {
      const given = inputs()
      const { numerator, state, normaliser } = withNormaliser(given)
      const plain = gatedLinearAttention(given)
      expectClose(await read(numerator), await read(plain.o), tolerances.forward(), 'numerator')
      expectClose(await read(state), await read(plain.state), tolerances.forward(), 'state')
      const ofOnes = gatedLinearAttention({ ...given, v: fill([B, T, H, V], 1) }).state
      const column = slice(ofOnes, [0, 0, 0, 1], [B, H, K, 1])
      expectClose(await read(normaliser), await read(column), tolerances.forward(), 'normaliser')
    }))

  test.each([1, 9, 16])('split at token %i with state and normaliser carried: the same as whole', (at) =>
    within(async () => {
      const given = inputs()
      const whole = normalisedLinearAttention({ ...given, normaliser: zeros([B, H, K]) })
      const { o, ...carried } = normalisedLinearAttention(between(given, 0, at))
      const second = normalisedLinearAttention({ ...between(given, at, T), ...carried })
      expectClose(await read(concat([o, second.o], 1)), await read(whole.o), tolerances.forward(), 'o')
      expectClose(await read(second.state), await read(whole.state), tolerances.forward(), 'state')
      expectClose(await read(second.normaliser), await read(whole.normaliser), tolerances.forward(), 'normaliser')
    }),
  )
})
