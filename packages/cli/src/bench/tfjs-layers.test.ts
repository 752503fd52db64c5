import { normal, Rng } from '@mneme/core-tensor'
import { GRU } from '@mneme/recurrent/gru'
import { LSTM } from '@mneme/recurrent/lstm'
import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { concat, eye, mul, slice, split, type Tensor, transpose, zeros } from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { withMethods } from './tensor-methods.js'

let withoutMethods: () => void
beforeAll(() => {
  withoutMethods = withMethods()
})
afterAll(() => withoutMethods())

const [B, T, D, E] = [2, 9, 4, 6]
const settings = { units: E, returnSequences: true, recurrentActivation: 'sigmoid' } as const

/** Rows of gates, one below the other, in another order, and turned as tfjs-layers has them. */
const reordered = (weight: Tensor, order: readonly number[]): Tensor => {
  const gates = split(weight, order.length)
  return transpose(concat(order.map((gate) => gates[gate] as Tensor)))
}

/** What a layer of tfjs gives with these weights: kernel, recurrent kernel, bias. */
function outputs(layer: layers.RNN, weights: Tensor[], x: Tensor): Tensor {
  // a layer has weights to be set once it has been run
  layer.apply(x)
  layer.setWeights(weights)
  return layer.apply(x) as Tensor
}

describe('with weights in its order, a cell gives what that of tfjs-layers gives', () => {
  test('LSTM', async () => {
    await within(async () => {
      const cell = new LSTM({ dModel: D, dHidden: E, forgetBias: 1 }, new Rng(1))
      cell.outProj?.weight.assign(slice(eye(E), [0, 0], [D, E]))
      const x = normal(new Rng(2), [B, T, D], 1)
      const order = [0, 1, 2, 3]
      const bias = reordered(cell.biasIh, order)
      cell.biasHh.assign(zeros([4 * E]))
      const theirs = outputs(
        layers.layers.lstm(settings) as layers.RNN,
        [reordered(cell.weightIh, order), reordered(cell.weightHh, order), bias],
        x,
      )
      expectClose(await read(cell.forward(x).y), await read(slice(theirs, [0, 0, 0], [B, T, D])), 1e-5, 'outputs')
      cell.dispose()
    })
  })

  // theirs resets the state before the recurrent product, ours after: the same where that matrix is diagonal
  test('GRU whose candidate sees its own unit alone', async () => {
    await within(async () => {
      const cell = new GRU({ dModel: D, dHidden: E }, new Rng(3))
      cell.outProj?.weight.assign(slice(eye(E), [0, 0], [D, E]))
      const gates = slice(cell.weightHh, [0, 0], [2 * E, E])
      cell.weightHh.assign(concat([gates, mul(eye(E), normal(new Rng(4), [E, 1], 1))]))
      cell.biasHh.assign(zeros([3 * E]))
      const x = normal(new Rng(5), [B, T, D], 1)
      const order = [1, 0, 2]
      const theirs = outputs(
        layers.layers.gru(settings) as layers.RNN,
        [cell.weightIh, cell.weightHh, cell.biasIh].map((weight) => reordered(weight, order)),
        x,
      )
      expectClose(await read(cell.forward(x).y), await read(slice(theirs, [0, 0, 0], [B, T, D])), 1e-5, 'outputs')
      cell.dispose()
    })
  })
})
