import { read, within } from '@mneme/testing/subject'
import { expectClose } from '@mneme/testing/tolerance'
import { profile, type Tensor, tensor2d } from '@tensorflow/tfjs-core'
import { expect, test } from 'vitest'
import { residualStack } from './depth.js'
import { valueAndGrads } from './gradients.js'
import { LanguageModel } from './language-model.js'
import { lossOf, nextTokenLoss } from './loss.js'
import { Embedding } from './nn/embedding.js'
import { FeedForward } from './nn/feed-forward.js'
import { Linear } from './nn/linear.js'
import { Rng } from './rng.js'

const [B, T, D, V] = [2, 300, 4, 5000]

/** No mixing along time: what is tested here is the output. */
function model(tied: boolean): LanguageModel {
  const rng = new Rng(1)
  return new LanguageModel({
    embedding: new Embedding(V, D, rng, 1),
    body: residualStack([]),
    norm: new FeedForward(D, D, rng),
    head: tied ? null : new Linear(D, V, rng),
  })
}

function batch(): { ids: Tensor; targets: Tensor; mask: Tensor } {
  const rng = new Rng(2)
  const draw = (from: number) => Int32Array.from({ length: B * T }, () => rng.int(from, V))
  const mask = Float32Array.from({ length: B * T }, () => (rng.uniform() < 0.7 ? 1 : 0))
  const targets = draw(0).map((id, i) => (mask[i] === 0 ? -100 : id))
  return {
    ids: tensor2d(draw(0), [B, T], 'int32'),
    targets: tensor2d(targets, [B, T], 'int32'),
    mask: tensor2d(mask, [B, T]),
  }
}

test.each([true, false])('the loss over many words is that of whole scores, gradients too (tied: %s)', async (tied) => {
  await within(async () => {
    const subject = model(tied)
    const { ids, targets, mask } = batch()
    const parameters = subject.parameters()
    const pieces = valueAndGrads(() => lossOf(subject, ids, targets, { mask }).loss, parameters)
    const whole = valueAndGrads(() => nextTokenLoss(subject.forward(ids).y, targets, mask).loss, parameters)
    expectClose(await read(pieces.value), await read(whole.value), 1e-5, 'loss')
    for (const [i, [path]] of [...subject.namedParameters()].entries()) {
      expectClose(await read(pieces.grads[i] as Tensor), await read(whole.grads[i] as Tensor), 1e-4, path)
    }
    subject.dispose()
  })
})

test('scores of many words never stand whole', async () => {
  await within(async () => {
    const subject = model(false)
    const { ids, targets, mask } = batch()
    const peak = async (loss: () => Tensor) =>
      (await profile(() => valueAndGrads(loss, subject.parameters()).value)).peakBytes
    const inPieces = await peak(() => lossOf(subject, ids, targets, { mask }).loss)
    const whole = await peak(() => nextTokenLoss(subject.forward(ids).y, targets, mask).loss)
    expect(whole).toBeGreaterThan(4 * B * T * V)
    expect(whole - inPieces).toBeGreaterThan(4 * B * T * V)
    subject.dispose()
  })
})
