import {
  detach,
  disposeState,
  type LossAfter,
  type LossOptions,
  loadState,
  lossOf,
  type SavedState,
  type State,
  saveState,
  stateTensors,
  type TokenModel,
  valueAndGrads,
  withinParameters,
} from '@mneme/core-tensor'
import { keep, memory, reshape, stack, type Tensor, tensor, tensor2d, tidy } from '@tensorflow/tfjs-core'
import type { Batch, Stream } from './data.js'
import { checkBatch, type ResolvedExperiment } from './experiment.js'
import { AdamW, accumulated, globalSquaredNorm } from './optimizer.js'
import { learningRate } from './schedule.js'
import { type Score, score } from './score.js'
import { firstNonFiniteOutput } from './trace.js'

/** What one training step did. */
export interface StepReport {
  /** Counted from 1. */
  readonly step: number
  /** Mean over the positions that count, in nats, before the update. */
  readonly loss: number
  readonly lr: number
  /** Global norm before clipping. */
  readonly gradNorm: number
  readonly tokensPerSecond: number
  /** Live tensors and their bytes after the step. */
  readonly tensors: number
  readonly bytes: number
}

export interface Evaluation extends Score {
  readonly step: number
}

/** With gradients and two moments 4 GB: the most that the heap of WASM, or a tab, holds. */
const maxParameterElements = 2 ** 28

/**
 * A loss or gradient that is no number. Parameters are as they were before the step. `where` names what was first found
 * not to be finite: a parameter, what was carried over, the output of a module, or the gradient of a parameter.
 */
export class NonFiniteError extends Error {
  override readonly name = 'NonFiniteError'
  constructor(
    readonly step: number,
    readonly where: string,
  ) {
    super(
      `training step ${step}: expected finite numbers, got NaN or infinity in ${where}. Lower the learning rate, or resume from the last checkpoint.`,
    )
  }
}

/** Everything that a run is, as plain data: restoring it continues bit for bit. */
export interface RunSnapshot {
  readonly experiment: object
  readonly step: number
  readonly tokens: number
  readonly cursor: unknown
  readonly state: SavedState
  /** Parameters by path, and both moments with `m.` and `v.` in front. */
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: Float32Array }>>
}

/** What a step makes smaller, of a batch: ids and targets int32 `[B, T]`; `step` counts from 0. */
export type Objective = (
  model: TokenModel,
  ids: Tensor,
  targets: Tensor,
  options: LossOptions,
  step: number,
) => LossAfter

export interface EvaluateOptions {
  readonly split?: 'validation' | 'test'
  readonly batches?: number
  /** Rows of a batch. */
  readonly batch?: number
  /** Tokens of a row; 0 for the task's own. Long rows go through in pieces, so that any length can be asked for. */
  readonly length?: number
}

/** A training run: model, optimizer, data and carried state. The same in a worker and in Node. */
export class Run {
  private state: State = null
  private taken = 0
  private tokens = 0

  private constructor(
    readonly setup: ResolvedExperiment,
    readonly model: TokenModel,
    readonly optimizer: AdamW,
    private readonly data: Stream,
    private readonly objective: Objective,
  ) {}

  /**
   * A run before its first step. It learns the task, unless it is given another objective.
   *
   * @throws RangeError for a model that is too large, or that does not fit the task
   */
  static async create(setup: ResolvedExperiment, objective: Objective = lossOf): Promise<Run> {
    const { task, taskConfig, experiment, train, paper } = setup
    const data = await task.open(taskConfig, 'train', experiment.seed, train.batch, train.length || undefined)
    const model = withinParameters(`config of ${paper.card.key}`, maxParameterElements, () => paper.build(setup.config))
    if (task.metric === 'lossNats' && !model.traits.causal) {
      model.dispose()
      throw new RangeError(
        `Run.create: expected a model that sees the past alone, since '${task.key}' asks for the next token, got '${paper.card.key}', which looks both ways. Train it on a task that marks its answers, such as selective-copying.`,
      )
    }
    const optimizer = new AdamW(model, train, paper.recipe?.groups)
    return new Run(setup, model, optimizer, data, objective)
  }

  /** Steps taken so far. */
  get step(): number {
    return this.taken
  }

  get finished(): boolean {
    return this.taken >= this.setup.train.steps
  }

  /** Tokens trained on so far. */
  get tokensSeen(): number {
    return this.tokens
  }

  /** Whether rows go on with the state that the last batch left: never where it would grow with every batch. */
  get carries(): boolean {
    return this.setup.train.carryState && this.model.traits.constantState
  }

  /** Takes one optimizer step. @throws NonFiniteError, and then nothing has changed but the data's place */
  async advance(): Promise<StepReport> {
    const started = performance.now()
    const { train } = this.setup
    let grads: (Tensor | null)[] = []
    const losses: Tensor[] = []
    const batches: Batch[] = []
    let tokens = 0
    for (let i = 0; i < train.accumulate; i++) {
      const batch = this.data.next()
      batches.push(batch)
      const result = this.backward(batch)
      losses.push(result.value)
      grads = i === 0 ? [...result.grads] : accumulated(grads, result.grads)
      tokens += batch.batch * batch.length
    }
    try {
      const { loss, gradNorm } = await this.measure(losses, grads, batches)
      const lr = learningRate(this.taken, train)
      const clip = train.clip > 0 && gradNorm > train.clip ? train.clip / gradNorm : 1
      this.optimizer.step(grads, lr, clip / train.accumulate)
      this.taken++
      this.tokens += tokens
      const { numTensors, numBytes } = memory()
      const seconds = (performance.now() - started) / 1000
      const tensors = numTensors - grads.filter((g) => g !== null).length - losses.length
      return { step: this.taken, loss, lr, gradNorm, tokensPerSecond: tokens / seconds, tensors, bytes: numBytes }
    } finally {
      for (const g of grads) g?.dispose()
      for (const loss of losses) loss.dispose()
    }
  }

  private backward(batch: Batch): { value: Tensor; grads: readonly (Tensor | null)[] } {
    const { batch: B, length: T } = batch
    const carried = batch.continues === true ? this.state : null
    let after: State = null
    const result = tidy(() => {
      const ids = tensor2d(batch.inputs as Int32Array, [B, T], 'int32')
      const targets = tensor2d(batch.targets, [B, T], 'int32')
      const mask = batch.mask.every((m) => m === 1) ? undefined : tensor2d(batch.mask, [B, T])
      const { value, grads } = valueAndGrads(() => {
        const from = { mask, state: carried ?? this.model.initialState(B), pass: { training: true } }
        const { loss, state } = this.objective(this.model, ids, targets, from, this.taken)
        if (this.carries) {
          after = detach(state)
          for (const t of stateTensors(after)) keep(t)
        }
        return loss
      }, this.optimizer.parameters)
      return { value, grads: grads as (Tensor | null)[] } as never
    }) as unknown as { value: Tensor; grads: (Tensor | null)[] }
    this.replaceState(after)
    return result
  }

  private replaceState(next: State): void {
    const held = new Set(stateTensors(next))
    for (const t of stateTensors(this.state)) if (!held.has(t)) t.dispose()
    this.state = next
  }

  /** Loss and gradient norm in one read-back. */
  private async measure(
    losses: readonly Tensor[],
    grads: readonly (Tensor | null)[],
    batches: readonly Batch[],
  ): Promise<{ loss: number; gradNorm: number }> {
    const both = tidy(() => stack([...losses.map((l) => reshape(l, [])), globalSquaredNorm(grads)]))
    const values = (await both.data()) as Float32Array
    both.dispose()
    const { accumulate } = this.setup.train
    const loss = values.slice(0, -1).reduce((total, l) => total + l, 0) / accumulate
    const gradNorm = Math.sqrt(values[values.length - 1] as number) / accumulate
    if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return { loss, gradNorm }
    throw new NonFiniteError(
      this.taken + 1,
      await this.culprit(batches[values.findIndex((v) => !Number.isFinite(v))] ?? null, grads),
    )
  }

  /** @param batch the one whose loss is not finite; null if all are */
  private async culprit(batch: Batch | null, grads: readonly (Tensor | null)[]): Promise<string> {
    for (const [i, path] of this.optimizer.paths.entries()) {
      const values = (await this.optimizer.parameters[i]?.data()) as Float32Array
      if (!values.every(Number.isFinite)) return `parameter '${path}'`
    }
    if (batch !== null) {
      // from the initial state, since what was carried has been replaced by now
      const { batch: B, length: T, inputs } = batch
      const forward = (): unknown => this.model.forward(tensor2d(inputs as Int32Array, [B, T], 'int32'))
      const path = await firstNonFiniteOutput(this.model, forward)
      return path === null ? 'the loss' : `the output of '${path}'`
    }
    for (const [i, path] of this.optimizer.paths.entries()) {
      const values = (await grads[i]?.data()) as Float32Array | undefined
      if (values && !values.every(Number.isFinite)) return `the gradient of '${path}'`
    }
    return 'the norm of the gradients'
  }

  /**
   * Loss and accuracy over the first batches of the validation or test split, always the same ones. Numbers and rows of
   * batches, and their length, are those of training unless given.
   *
   * @throws RangeError for a batch that no memory holds
   */
  async evaluate(options: EvaluateOptions = {}): Promise<Evaluation> {
    const { task, taskConfig, experiment, train } = this.setup
    const { split = 'validation', batches = train.evalBatches, batch = train.batch, length = train.length } = options
    checkBatch('evaluate', batch, length)
    const data = await task.open(taskConfig, split, experiment.seed, batch, length || undefined)
    const count = Math.min(batches, data.passBatches ?? batches)
    return { step: this.taken, ...(await score(this.model, data, count, { carry: this.carries })) }
  }

  /** The whole run as plain data. */
  async snapshot(): Promise<RunSnapshot> {
    const model = await this.model.stateDict()
    const moments = await Promise.all(
      Array.from(this.optimizer.moments(), async ([name, value]) => {
        return [name, { shape: value.shape, values: (await value.data()).slice() as Float32Array }] as const
      }),
    )
    const tensors = Object.fromEntries([
      ...Object.entries(model).map(
        ([name, value]) => [`model.${name}`, value as { shape: number[]; values: Float32Array }] as const,
      ),
      ...moments,
    ])
    return {
      experiment: this.setup.experiment,
      step: this.taken,
      tokens: this.tokens,
      cursor: this.data.save(),
      state: await saveState(this.state),
      tensors,
    }
  }

  /** Puts a run back where a snapshot was taken. @throws RangeError if it belongs to another model */
  restore(snapshot: RunSnapshot): void {
    const model = Object.fromEntries(
      Object.entries(snapshot.tensors).flatMap(([name, value]) =>
        name.startsWith('model.') ? [[name.slice(6), value]] : [],
      ),
    )
    this.model.loadStateDict(model)
    this.optimizer.restore((name) => {
      const moment = snapshot.tensors[name]
      return moment && tensor(moment.values, [...moment.shape])
    }, snapshot.step)
    this.data.restore(snapshot.cursor)
    this.replaceState(loadState(snapshot.state))
    this.taken = snapshot.step
    this.tokens = snapshot.tokens
  }

  /** Frees model, moments and carried state. */
  dispose(): void {
    disposeState(this.state)
    this.state = null
    this.optimizer.dispose()
    this.model.dispose()
  }
}
