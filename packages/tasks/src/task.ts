import type { RngState } from '@mneme/core-tensor/rng'
import type { StreamingDecoder } from './tokenizer.js'

/** The target id of a position that is not scored. Its mask is 0. */
export const IGNORED = -100

/** Train, validation and test draw from seeds s, s+1 and s+2, or from parts of a text that do not overlap. */
export type Split = 'train' | 'validation' | 'test'

/** What a task is judged by: `TaskSpec.metric`. `seqAcc` asks for every scored position of a row to be right. */
export type Metric = 'tokenAcc' | 'seqAcc' | 'lossNats'

/**
 * One batch as plain arrays, row major. `targets[b, t]` is the answer to be predicted *at* input index t: nothing is
 * left to shift.
 */
export interface TaskBatch {
  /** [B, T] token ids, or [B, T, F] numbers. */
  readonly inputs: Int32Array | Float32Array
  /** [B, T] token ids, `IGNORED` where the mask is 0. */
  readonly targets: Int32Array
  /** [B, T], 1 where scored, else 0. */
  readonly mask: Float32Array
  /** [B, T], tokens since the answer was shown, at least 1; 0 where nothing is asked or no one token shows it. */
  readonly distances?: Int32Array
  /** B. */
  readonly batch: number
  /** T. */
  readonly length: number
  /** True when each row goes on where the same row of this stream's last batch ended: carried state stays valid. */
  readonly continues?: boolean
}

/** Where a stream stands, as plain JSON. */
export interface TaskCursor {
  /** Which stream this belongs to: task, split, seed, batch and config. `restore` refuses another's. */
  readonly stream: string
  /** The generator: as it is now (drawn samples), or as it was when the current pass over the text began. */
  readonly rng: RngState
  /** Batches given: since the stream began (drawn samples), or since the current pass began (text). */
  readonly position: number
}

/** A source of batches whose place can be saved; after `restore` it goes on bit for bit. */
export interface TaskStream {
  /** Batches in one pass over the data, the last one padded with mask 0; absent where samples are drawn for ever. */
  readonly passBatches?: number
  /** The next batch. */
  next(): TaskBatch
  /** Where the stream stands: the next batch is not drawn yet. */
  save(): TaskCursor
  /** @throws RangeError when the cursor is another stream's */
  restore(cursor: TaskCursor): void
}

/** The ids a task uses, 0 to size - 1, and how they read. */
export interface Vocabulary {
  readonly size: number
  /** The text of ids. */
  decode?(ids: ArrayLike<number>): string
  /** The ids of a text. @throws RangeError for a character that has none */
  encode?(text: string): Int32Array
  /** Text of ids that come one at a time, with no character cut in two. */
  stream?(): StreamingDecoder
}

/** What no memory, or a simple rule, reaches: the line a model has to beat. */
export interface Baseline {
  readonly name: string
  /** Mean over scored positions, in nats. */
  readonly lossNats?: number
  /** `tokenAcc`, in [0, 1]. */
  readonly accuracy?: number
}

/** A figure from the literature. */
export interface Published {
  readonly model: string
  readonly setting: string
  readonly metric: Metric
  /** Accuracies in [0, 1]; losses in nats. */
  readonly value: number
  readonly source: string
  /** True when the figure was written down from memory of the paper and is to be read again before it is quoted. */
  readonly recalled: boolean
}

/**
 * A benchmark: seeded batches, a vocabulary and the figures to compare with. Configs are partial: what is left out is
 * `defaults`.
 */
export interface TaskSpec<C extends object = object> {
  /** The name in the registry. */
  readonly key: string
  readonly title: string
  /** The paper or data set it comes from. */
  readonly source: string
  readonly kind: 'synthetic' | 'language'
  readonly metric: Metric
  /** A size for two CPU cores and minutes. */
  readonly defaults: C
  /** A size for tests: seconds. */
  readonly tiny: C
  readonly published: readonly Published[]
  /**
   * @param seed integer; the split adds 0, 1 or 2
   * @param batch rows B of every batch
   * @param length T instead of the config's, to test at other lengths than were trained
   * @throws RangeError for an unknown config key or a size that does not fit, TypeError for a value of another kind
   */
  open(config: Partial<C>, split: Split, seed: number, batch: number, length?: number): Promise<TaskStream>
  /** The ids of a configuration, and how they read. */
  vocabulary(config: Partial<C>): Promise<Vocabulary>
  /** What no memory, or a simple rule, reaches at a configuration. */
  baselines(config: Partial<C>): Promise<readonly Baseline[]>
  /** Mean characters a token stands for in that split, for bits per character; language tasks only. */
  charactersPerToken?(config: Partial<C>, split: Split): Promise<number>
}

/** The seed of a split: s for train, s+1 for validation, s+2 for test. */
export function splitSeed(seed: number, split: Split): number {
  return seed + { train: 0, validation: 1, test: 2 }[split]
}
