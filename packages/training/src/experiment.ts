import {
  type BaseConfig,
  type Paper,
  type Recipe,
  type TokenModel,
  withDefaults,
  withinLimits,
} from '@mneme/core-tensor'
import type { TaskSource } from './data.js'

/** Settings of a training run. */
export interface TrainConfig {
  readonly steps: number
  /** Rows of a batch. */
  readonly batch: number
  /** Tokens of a row; 0 takes the task's own length. */
  readonly length: number
  /** Largest learning rate; 0 takes the paper's recipe. */
  readonly lr: number
  readonly schedule: 'cosine' | 'wsd' | 'constant'
  readonly warmup: number
  readonly minLr: number
  readonly decay: number
  /** Negative takes the paper's recipe. */
  readonly weightDecay: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  /** Largest global norm of the gradients; 0 for no clipping. */
  readonly clip: number
  /** Batches whose gradients are added up for one step. */
  readonly accumulate: number
  /**
   * Whether rows that go on keep the state of the batch before, in training and in evaluation; gradients stop there
   * (truncated BPTT). A state that grows with every token, such as a cache of all keys, is never carried.
   */
  readonly carryState: boolean
  /** Steps between evaluations; 0 for none but the last. */
  readonly evalEvery: number
  /** Validation batches of one evaluation. */
  readonly evalBatches: number
  /** Steps between checkpoints; 0 for none but the last. */
  readonly checkpointEvery: number
}

export const trainDefaults: TrainConfig = {
  steps: 2000,
  batch: 16,
  length: 0,
  lr: 0,
  schedule: 'cosine',
  warmup: 20,
  minLr: 0.1,
  decay: 0.2,
  weightDecay: -1,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  clip: 1,
  accumulate: 1,
  carryState: true,
  evalEvery: 100,
  evalBatches: 8,
  checkpointEvery: 500,
}

/** What a paper without a recipe of its own is trained with. */
export const plainRecipe: Recipe = { lr: 1e-3, weightDecay: 0 }

/** A whole experiment as plain JSON: seen in one place, it can be repeated in another. */
export interface Experiment {
  readonly paper: string
  readonly config: Readonly<Record<string, unknown>>
  readonly task: string
  readonly taskConfig: Readonly<Record<string, unknown>>
  readonly train: Partial<TrainConfig>
  readonly seed: number
}

export const experimentDefaults: Experiment = {
  paper: 'min-rnn',
  config: {},
  task: 'novel',
  taskConfig: {},
  train: {},
  seed: 0,
}

/** Where papers and tasks are looked up; training knows none by name. */
export interface Catalogue {
  /** @throws RangeError for an unknown key */
  loadPaper(key: string): Promise<Paper<BaseConfig, TokenModel>>
  /** @throws RangeError for an unknown key */
  loadTask(key: string): Promise<TaskSource>
}

/** An experiment with everything that it left out filled in, and its paper and task at hand. */
export interface ResolvedExperiment {
  readonly experiment: Experiment
  readonly paper: Paper<BaseConfig, TokenModel>
  readonly task: TaskSource
  readonly config: BaseConfig
  readonly taskConfig: object
  readonly train: TrainConfig
}

/**
 * Checks an experiment in one place, whether it came from a file, flags, an address or a checkpoint.
 *
 * @throws RangeError for an unknown key, paper or task, with a suggestion, and for a number that its key cannot have;
 * TypeError for a value of another kind
 */
export async function resolveExperiment(given: object, catalogue: Catalogue): Promise<ResolvedExperiment> {
  const open = { config: null, taskConfig: null, train: null } as unknown as Partial<Experiment>
  const plain = withDefaults('experiment', { ...experimentDefaults, ...open }, given) as Experiment
  const experiment: Experiment = {
    ...plain,
    config: plain.config ?? {},
    taskConfig: plain.taskConfig ?? {},
    train: plain.train ?? {},
  }
  if (!Number.isInteger(experiment.seed))
    throw new RangeError(`experiment.seed: expected an integer, got ${experiment.seed}.`)
  const paper = await catalogue.loadPaper(experiment.paper)
  const task = await catalogue.loadTask(experiment.task)
  const taskConfig = withinLimits('experiment.taskConfig', task.defaults, experiment.taskConfig)
  const { size } = await task.vocabulary(taskConfig)
  const train = withDefaults('experiment.train', trainDefaults, experiment.train)
  checkTrain(train, Number((taskConfig as { length?: unknown }).length ?? 1))
  const config = withinLimits(
    'experiment.config',
    { ...paper.config, vocabulary: size, seed: experiment.seed },
    experiment.config,
  )
  const recipe = paper.recipe ?? plainRecipe
  return {
    experiment,
    paper,
    task,
    config,
    taskConfig,
    train: {
      ...train,
      lr: train.lr === 0 ? recipe.lr : train.lr,
      weightDecay: train.weightDecay < 0 ? recipe.weightDecay : train.weightDecay,
    },
  }
}

/** Tokens of one batch: far beyond what trains in one step anywhere, and short of what a list of them could not hold. */
const maxBatchTokens = 2 ** 24

/** @throws RangeError for a batch that no memory holds */
export function checkBatch(where: string, batch: number, length: number): void {
  if (batch * length <= maxBatchTokens) return
  throw new RangeError(`${where}: expected at most ${maxBatchTokens} tokens a batch, got ${batch * length}.`)
}

/** taskLength: tokens of a row where the training says none. */
function checkTrain(train: TrainConfig, taskLength: number): void {
  const expect = (holds: boolean, key: keyof TrainConfig, wanted: string): void => {
    if (!holds) throw new RangeError(`experiment.train.${key}: expected ${wanted}, got ${String(train[key])}.`)
  }
  const counts = ['steps', 'batch', 'accumulate', 'evalBatches'] as const
  for (const key of counts) expect(Number.isInteger(train[key]) && train[key] > 0, key, 'a whole number, at least 1')
  // within a step, or an evaluation, nothing can be saved
  for (const key of ['accumulate', 'evalBatches'] as const) expect(train[key] <= 2 ** 16, key, 'at most 65536 batches')
  const naturals = ['length', 'warmup', 'evalEvery', 'checkpointEvery'] as const
  for (const key of naturals) expect(Number.isInteger(train[key]) && train[key] >= 0, key, 'a whole number, 0 or more')
  checkBatch('experiment.train.batch', train.batch, train.length || taskLength)
  const positives = ['lr', 'minLr', 'clip', 'eps'] as const
  for (const key of positives) expect(train[key] >= 0, key, 'a number, 0 or more')
  for (const key of ['beta1', 'beta2', 'decay'] as const)
    expect(train[key] >= 0 && train[key] < 1, key, 'a number in [0, 1)')
  expect(['cosine', 'wsd', 'constant'].includes(train.schedule), 'schedule', 'cosine, wsd or constant')
}
