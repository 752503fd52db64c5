import type { TokenModel } from '@mneme/core-tensor'
import type { TaskSpec, Vocabulary } from '@mneme/tasks'
import type { ResolvedExperiment } from '@mneme/training'
import { argMax, tensor2d, tidy } from '@tensorflow/tfjs-core'
import type { RowSample, Sample, TextSample } from '../protocol'
import { taskOf } from './setup'
import { written } from './written'

const promptTokens = 48

/** Shows what a model has learnt: it goes on writing a text, or answers one row of the task. */
export class Sampler {
  private readonly task: TaskSpec
  private rowsSeen = 0

  constructor(
    private readonly model: TokenModel,
    private readonly setup: ResolvedExperiment,
    private readonly vocabulary: Vocabulary,
  ) {
    this.task = taskOf(setup)
  }

  sample(step: number): Promise<Sample> {
    return this.task.kind === 'language' ? this.continueText(step) : this.answerRow(step)
  }

  /** After the beginning of the validation text: the same each time, so that samples can be compared. */
  private async continueText(step: number): Promise<TextSample> {
    const ids = await this.firstTokens()
    const seed = this.setup.experiment.seed + step
    const text = this.decode(await written(this.model, ids, { seed, temperature: 0.8 }))
    return { form: 'text', step, prompt: this.decode(ids), text }
  }

  private decode(ids: ArrayLike<number>): string {
    return this.vocabulary.decode?.(ids) ?? Array.from(ids).join(' ')
  }

  private async firstTokens(): Promise<ArrayLike<number>> {
    const { inputs } = await this.batch(promptTokens)
    return Int32Array.from(inputs.slice(0, promptTokens))
  }

  private async batch(length?: number) {
    const { experiment, taskConfig, train } = this.setup
    const stream = await this.task.open(
      taskConfig,
      'validation',
      experiment.seed,
      1,
      length ?? (train.length || undefined),
    )
    for (let i = 0; i < this.rowsSeen; i++) stream.next()
    return stream.next()
  }

  private async answerRow(step: number): Promise<RowSample> {
    const { inputs, targets, mask, length } = await this.batch()
    this.rowsSeen = (this.rowsSeen + 1) % 16
    const ids = Int32Array.from(inputs)
    const best = tidy(() => argMax(this.model.forward(tensor2d(ids, [1, length], 'int32')).y, -1))
    const predicted = await best.data()
    best.dispose()
    const cells = Array.from(ids, (id, t) => ({
      input: this.decode([id]),
      ...(mask[t] === 1 && {
        target: this.decode([targets[t] as number]),
        predicted: this.decode([predicted[t] as number]),
      }),
    }))
    const asked = cells.filter((cell) => cell.target !== undefined)
    return {
      form: 'row',
      step,
      cells,
      asked: asked.length,
      right: asked.filter((c) => c.target === c.predicted).length,
    }
  }
}
