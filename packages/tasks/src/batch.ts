import type { TaskBatch, TaskCursor } from './task.js'
import { IGNORED } from './task.js'

/** One row of a batch: views, so that writing a row writes the batch. */
export interface Row {
  /** [T] token ids, all 0 before the sampler writes. */
  readonly inputs: Int32Array
  /** [T], all `IGNORED` before. */
  readonly targets: Int32Array
  /** [T], all 0 before. */
  readonly mask: Float32Array
  /** [T], all 0 before. */
  readonly distances: Int32Array
}

/** A batch that scores nothing yet, with its rows to be written. */
export function blankBatch(batch: number, length: number): { batch: TaskBatch; rows: Row[] } {
  const inputs = new Int32Array(batch * length)
  const targets = new Int32Array(batch * length).fill(IGNORED)
  const mask = new Float32Array(batch * length)
  const distances = new Int32Array(batch * length)
  const rows = Array.from({ length: batch }, (_, b) => {
    const span = [b * length, (b + 1) * length] as const
    return {
      inputs: inputs.subarray(...span),
      targets: targets.subarray(...span),
      mask: mask.subarray(...span),
      distances: distances.subarray(...span),
    }
  })
  return { batch: { inputs, targets, mask, distances, batch, length }, rows }
}

/** Marks input index `at` as scored, with the answer due there, and the index that showed it where there is one. */
export function ask(row: Row, at: number, answer: number, shownAt = at): void {
  row.targets[at] = answer
  row.mask[at] = 1
  row.distances[at] = at - shownAt
}

/**
 * Refuses a cursor taken from another stream.
 *
 * @throws RangeError
 */
export function checkCursor(cursor: TaskCursor, stream: string): void {
  if (cursor.stream === stream) return
  throw new RangeError(
    `TaskStream.restore: expected a cursor of '${stream}', got one of '${cursor.stream}'. Open the stream with the arguments it was saved under.`,
  )
}
