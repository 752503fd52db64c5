import { nextTokenLoss, Rng, valueAndGrads } from '@mneme/core-tensor'
import { createModel } from '@mneme/models'
import { MinGRU } from '@mneme/recurrent/min-rnn'
import { AdamW, Run, resolveExperiment } from '@mneme/training'
import * as tf from '@tensorflow/tfjs-core'
import { mean, randomNormal, square, sub } from '@tensorflow/tfjs-core'
import { catalogue } from '../settings.js'
import { type Timing, timed } from './measure.js'
import { withMethods } from './tensor-methods.js'

/** One training step of a recurrent layer, 64 wide, B = 8, T = 256: ours against the layer that tfjs has. */
export async function minGruAgainstGru(): Promise<{ minGru: Timing; gru: Timing | null }> {
  const [B, T, D] = [8, 256, 64]
  const rng = new Rng(0)
  const cell = new MinGRU({ dModel: D, expansion: 1, h0: 'zero' }, rng)
  const optimizer = new AdamW(cell, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 })
  const x = randomNormal([B, T, D])
  const target = randomNormal([B, T, D])
  const minGru = await timed(async () => {
    const loss = () => mean(square(sub(cell.forward(x).y, target)))
    const { value, grads } = valueAndGrads(loss, optimizer.parameters)
    optimizer.step(grads, 1e-3)
    await value.data()
    for (const t of [value, ...grads]) t?.dispose()
  }, 1500)
  for (const t of [x, target]) t.dispose()
  optimizer.dispose()
  cell.dispose()
  return { minGru, gru: await layersGru(B, T, D) }
}

/** tfjs-layers is a peer to measure against, not a dependency. */
async function layersGru(B: number, T: number, D: number): Promise<Timing | null> {
  const layers = await import('@tensorflow/tfjs-layers').catch(() => null)
  if (layers === null) return null
  withMethods()
  const model = layers.sequential({
    layers: [layers.layers.gru({ units: D, returnSequences: true, inputShape: [T, D] })],
  })
  model.compile({ optimizer: 'adam', loss: 'meanSquaredError' })
  const x = randomNormal([B, T, D])
  const y = randomNormal([B, T, D])
  const timing = await timed(async () => {
    await model.trainOnBatch(x, y)
  }, 1500)
  for (const t of [x, y]) t.dispose()
  return timing
}

export interface DefaultRun {
  readonly parameters: number
  readonly stepsPerSecond: number
  readonly tokensPerSecond: number
  /** Validation loss in nats a character after so many steps, with seconds of training until then. */
  readonly curve: readonly { readonly step: number; readonly seconds: number; readonly lossNats: number }[]
  /** Live tensors after the first and the last step. */
  readonly tensors: readonly [number, number]
}

/** One AdamW step of a language model of two minGRU layers, 128 wide, on 8 rows of 256 tokens out of 64. */
export async function languageModelStep(): Promise<Timing> {
  const model = await createModel('min-rnn', { vocabulary: 64, dModel: 128, nLayers: 2, expansion: 1, ffMult: 1 })
  const optimizer = new AdamW(model, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 })
  const rng = new Rng(0)
  const ids = (): tf.Tensor =>
    tf.tensor2d(
      Int32Array.from({ length: 8 * 256 }, () => rng.int(0, 64)),
      [8, 256],
      'int32',
    )
  const [inputs, targets] = [ids(), ids()]
  const timing = await timed(async () => {
    const { value, grads } = valueAndGrads(
      () => nextTokenLoss(model.forward(inputs).y, targets).loss,
      optimizer.parameters,
    )
    optimizer.step(grads, 1e-3)
    await value.data()
    for (const t of [value, ...grads]) t?.dispose()
  }, 3000)
  for (const t of [inputs, targets]) t.dispose()
  optimizer.dispose()
  model.dispose()
  return timing
}

/** The run that the playground starts with. */
export async function defaultRun(steps: number, evaluateAt: readonly number[]): Promise<DefaultRun> {
  const setup = await resolveExperiment(
    {
      paper: 'min-rnn',
      task: 'novel',
      train: { steps, length: 64 },
    },
    catalogue,
  )
  const run = await Run.create(setup)
  const curve: { step: number; seconds: number; lossNats: number }[] = []
  const tensors: number[] = []
  let seconds = 0
  while (!run.finished) {
    const started = performance.now()
    const report = await run.advance()
    seconds += (performance.now() - started) / 1000
    tensors.push(report.tensors)
    if (evaluateAt.includes(report.step)) {
      const { lossNats } = await run.evaluate({ batches: 16 })
      curve.push({ step: report.step, seconds, lossNats })
    }
  }
  const parameters = run.model.parameterCount()
  const tokens = run.tokensSeen
  run.dispose()
  return {
    parameters,
    stepsPerSecond: steps / seconds,
    tokensPerSecond: tokens / seconds,
    curve,
    tensors: [tensors[1] ?? 0, tensors.at(-1) ?? 0],
  }
}
