/** One batch as plain arrays, row major: `[B, T]` ids, aligned targets, and a mask of what counts. */
export interface Batch {
  readonly inputs: Int32Array | Float32Array
  readonly targets: Int32Array
  readonly mask: Float32Array
  /** Tokens since the answer was shown, at least 1; 0 where nothing is asked or no one token shows it. */
  readonly distances?: Int32Array
  readonly batch: number
  readonly length: number
  /** Rows go on where those of the last batch ended, so that the carried state stays valid. */
  readonly continues?: boolean
}

/** A source of batches whose place can be saved as plain JSON and restored bit for bit. */
export interface Stream<Cursor = unknown> {
  /** Batches in one pass over the data; absent where samples are drawn for ever. */
  readonly passBatches?: number
  /** The next batch. */
  next(): Batch
  /** Where the stream stands, as plain JSON. */
  save(): Cursor
  /** Goes on where a stream of the same arguments was saved. @throws RangeError for the place of another stream */
  restore(cursor: Cursor): void
}

/** What training needs of a task. */
export interface TaskSource {
  readonly key: string
  readonly defaults: object
  readonly metric: 'tokenAcc' | 'seqAcc' | 'lossNats'
  /** Batches of one split; the same arguments give the same batches. `length` overrides the configuration's. */
  open(
    config: object,
    split: 'train' | 'validation' | 'test',
    seed: number,
    batch: number,
    length?: number,
  ): Promise<Stream>
  /** The ids of a configuration, and how they read where they stand for text. */
  vocabulary(config: object): Promise<{
    readonly size: number
    /** The text of ids. */
    decode?(ids: ArrayLike<number>): string
    /** The ids of a text. */
    encode?(text: string): Int32Array
    /** Text of ids that come one at a time, with no character cut in two. */
    stream?(): {
      /** The text that this id completes. */
      push(id: number): string
      /** What is left at the end. */
      flush(): string
    }
  }>
}
