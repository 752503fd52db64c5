import {
  Embedding,
  FeedForward,
  LanguageModel,
  Linear,
  nextTokenLoss,
  RMSNorm,
  Rng,
  residualStack,
  type TokenModel,
  valueAndGrads,
} from '@mneme/core-tensor'
import { createModel } from '@mneme/models'
import { type MakeMixer, mechanismsInPapers, mixers } from '@mneme/models/mixers'
import { selectiveCopying } from '@mneme/tasks/selective-copying'
import type { TaskBatch, TaskStream } from '@mneme/tasks/task'
import { AdamW } from '@mneme/training'
import { argMax, type Tensor, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'

const D = 32
const ROWS = 32
const MOST_STEPS = 400
const LOOK_EVERY = 50
const sizes = { vocab: 6, length: 14, data: 3 }
/** A guess among the symbols. */
const CHANCE = 1 / (sizes.vocab - 2)

/** One layer around a mixer: what it can remember is what the model can. */
function modelAround(make: MakeMixer, vocabulary: number): LanguageModel {
  const rng = new Rng(1)
  return new LanguageModel({
    embedding: new Embedding(vocabulary, D, rng, 1),
    body: residualStack([
      { mixerNorm: new RMSNorm(D), mixer: make(D, rng), mlpNorm: new RMSNorm(D), mlp: new FeedForward(D, 2 * D, rng) },
    ]),
    norm: new RMSNorm(D),
    head: new Linear(D, vocabulary, rng, { bias: false }),
  })
}

function step(model: TokenModel, optimizer: AdamW, { inputs, targets, mask, length }: TaskBatch): void {
  const shape: [number, number] = [ROWS, length]
  const { value, grads } = valueAndGrads(() => {
    const { y } = model.forward(tensor2d(inputs, shape, 'int32'))
    return nextTokenLoss(y, tensor2d(targets, shape, 'int32'), tensor2d(mask, shape)).loss
  }, optimizer.parameters)
  optimizer.step(grads, 5e-3)
  for (const t of [value, ...grads]) t?.dispose()
}

/** Share of right answers, and how far off it may be by luck: five deviations. */
async function accuracy(model: TokenModel, stream: TaskStream): Promise<{ share: number; luck: number }> {
  let [right, asked] = [0, 0]
  for (let i = 0; i < 8; i++) {
    const { inputs, targets, mask, length } = stream.next()
    const best: Tensor = tidy(() => argMax(model.forward(tensor2d(inputs, [ROWS, length], 'int32')).y, 2))
    const answers = await best.data()
    best.dispose()
    for (const [j, weight] of mask.entries()) {
      if (weight === 0) continue
      asked++
      if (answers[j] === targets[j]) right++
    }
  }
  return { share: right / asked, luck: 5 * Math.sqrt((CHANCE * (1 - CHANCE)) / asked) }
}

/** Trains until answers are better than luck, and says whether they are. */
async function expectLearns(model: TokenModel): Promise<void> {
  const optimizer = new AdamW(model, { beta1: 0.9, beta2: 0.98, eps: 1e-8, weightDecay: 0.01 })
  const training = await selectiveCopying.open(sizes, 'train', 0, ROWS)
  let found = { share: 0, luck: 0 }
  for (let i = 1; i <= MOST_STEPS && found.share < CHANCE + found.luck + 0.05; i++) {
    step(model, optimizer, training.next())
    if (i % LOOK_EVERY === 0) found = await accuracy(model, await selectiveCopying.open(sizes, 'validation', 0, ROWS))
  }
  expect(found.share).toBeGreaterThan(CHANCE + found.luck)
  optimizer.dispose()
  model.dispose()
}

describe('every mixer learns selective copying better than chance', async () => {
  const { size } = await selectiveCopying.vocabulary(sizes)

  test('chance is what the task says it is', async () => {
    const baselines = await selectiveCopying.baselines(sizes)
    expect(Math.max(...baselines.map(({ accuracy: share }) => share ?? 0))).toBeCloseTo(CHANCE, 6)
  })

  test.each(Object.entries(mixers))('%s', (_, make) => expectLearns(modelAround(make, size)))

  test.each(Object.entries(mechanismsInPapers))('%s, in %s', async (_, paper) => {
    await expectLearns(
      await createModel(paper, {
        vocabulary: size,
        dModel: D,
        dInner: 2 * D,
        nLayers: 1,
        decoderLayers: 1,
        segment: 6,
      }),
    )
  })
})
