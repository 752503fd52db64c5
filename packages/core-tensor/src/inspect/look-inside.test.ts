import { add, mul, ones, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { deltaRule } from '../ops/delta-rule.js'
import { gatedLinearAttention } from '../ops/gated-linear-attention.js'
import { linearScan } from '../ops/linear-scan.js'
import { mlstm } from '../ops/mlstm.js'
import { normalisedLinearAttention } from '../ops/normalised-linear-attention.js'
import { selectiveScan } from '../ops/selective-scan.js'
import { softmaxAttention } from '../ops/softmax-attention.js'
import { wkv4 } from '../ops/wkv4.js'
import { Rng } from '../rng.js'
import { type OpCall, tap, watch } from '../watch.js'
import { tokenMap } from './token-maps.js'

const rng = new Rng(1)
const draw = (shape: number[], f: (x: number) => number = (x) => x): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => f(rng.normal())),
    shape,
  )
const [T, H, K, V] = [5, 2, 3, 4]
const heads = (width: number): Tensor => draw([1, T, H, width])
const decays = (shape: number[]): Tensor => draw(shape, (x) => -Math.abs(x))

/** The one call that is made within `f`. */
function callOf(f: () => unknown): OpCall {
  const calls: OpCall[] = []
  watch({ onOp: (call) => calls.push(call) }, f)
  expect(calls.length).toBe(1)
  return calls[0] as OpCall
}

/** Sum over tokens of weight times value, which must be the output of a call from an empty state. */
function expectSum({ op, inputs, outputs }: OpCall, map: NonNullable<ReturnType<typeof tokenMap>>): void {
  const values = inputs[op.mixes?.values ?? ''] as Tensor
  const expected = outputs[op.mixes?.output ?? ''] as Tensor
  const [w, v, y] = [map.weights.dataSync(), values.dataSync(), expected.dataSync()]
  const [parts, rows, columns] = map.weights.shape as [number, number, number]
  const width = map.by === 'head' ? (values.shape[3] as number) : 1
  const groups = values.shape[2] as number
  for (let p = 0; p < parts; p++) {
    const part = map.parts[p] as number
    const [from, to] = map.by === 'head' ? [Math.floor((p * groups) / parts), p] : [part, part]
    const wide = map.by === 'head' ? parts : groups
    for (let t = 0; t < rows; t++) {
      for (let i = 0; i < width; i++) {
        let total = 0
        for (let s = 0; s < columns; s++) {
          total += (w[(p * rows + t) * columns + s] as number) * (v[(s * groups + from) * width + i] as number)
        }
        expect(total).toBeCloseTo(y[(t * wide + to) * width + i] as number, 4)
      }
    }
  }
}

describe('token maps', () => {
  const q = heads(K)
  const k = heads(K)
  const v = heads(V)
  const positive = draw([1, T, H, K], (x) => Math.abs(x) + 0.1)
  test.each<[string, () => unknown]>([
    ['softmax attention with slopes', () => softmaxAttention({ q, k, v, slopes: ones([H]) })],
    [
      'a window of grouped queries',
      () => softmaxAttention({ q, k: draw([1, T, 1, K]), v: draw([1, T, 1, V]) }, { window: 2 }),
    ],
    [
      'keys that are no tokens',
      () => softmaxAttention({ q, k: draw([1, 7, H, K]), v: draw([1, 7, H, V]) }, { causal: false }),
    ],
    ['gated linear attention', () => gatedLinearAttention({ q, k, v, logDecay: decays([1, T, H, K]) })],
    ['linear attention with a normaliser', () => normalisedLinearAttention({ q: positive, k: positive, v })],
    ['the delta rule', () => deltaRule({ q, k, v, beta: draw([1, T, H], () => 0.5), logDecay: decays([1, T, H]) })],
    ['mLSTM', () => mlstm({ q, k, v, inputGate: draw([1, T, H]), forgetGate: draw([1, T, H]) })],
    ['RWKV-4', () => wkv4({ k: draw([1, T, 3]), v: draw([1, T, 3]), timeDecay: draw([3]), timeFirst: draw([3]) })],
    ['a linear scan of many channels', () => linearScan({ a: draw([1, T, 40]), b: draw([1, T, 40]) })],
    [
      'a selective scan with skip and gate',
      () =>
        selectiveScan({
          u: draw([1, T, 3]),
          delta: draw([1, T, 3]),
          A: decays([3, 2]),
          Bt: draw([1, T, 2]),
          C: draw([1, T, 2]),
          skip: draw([3]),
          z: draw([1, T, 3]),
        }),
    ],
  ])('%s: weights times values are the output', (_, f) => {
    const call = callOf(f)
    expectSum(call, tokenMap(call) as NonNullable<ReturnType<typeof tokenMap>>)
  })

  test('the state of earlier calls is left out of the sum', () => {
    const call = callOf(() => linearScan({ a: ones([1, 2, 1]), b: ones([1, 2, 1]), h0: ones([1, 1]) }))
    const { weights } = tokenMap(call) as NonNullable<ReturnType<typeof tokenMap>>
    expect(Array.from(weights.dataSync())).toEqual([1, 0, 1, 1])
    expect(Array.from((call.outputs.h as Tensor).dataSync())).toEqual([2, 3])
  })
})

describe('watch', () => {
  test('tells of the outermost op alone, and of nothing once it is over', () => {
    const names: string[] = []
    const run = (): void => {
      const x = ones([1, 2, 1, 1])
      normalisedLinearAttention({ q: x, k: x, v: x })
    }
    watch({ onOp: ({ op }) => names.push(op.name) }, run)
    run()
    expect(names).toEqual(['normalisedLinearAttention'])
  })

  test('a tap hands its tensor on, or what the watcher puts in its place', () => {
    const f = (): number => add(tap('x', ones([1])), 1).dataSync()[0] as number
    expect(f()).toBe(2)
    expect(watch({ onTap: (_, value) => mul(value, 5) }, f)).toBe(6)
    expect(watch({}, f)).toBe(2)
  })

  test('an error inside ends the watch', () => {
    const broken = (): never => {
      throw new Error('broken')
    }
    let calls = 0
    expect(() => watch({ onOp: () => calls++ }, broken)).toThrow('broken')
    linearScan({ a: ones([1, 1, 1]), b: ones([1, 1, 1]) })
    expect(calls).toBe(0)
  })
})
