import type { TaskBatch } from './task.js'

/**
 * Scores over a whole set: sums are kept, never averages of batches, so that batches of unequal size count by their
 * positions. Every figure is NaN until something was added for it.
 */
export class Tally {
  private positions = 0
  private right = 0
  private rows = 0
  private rightRows = 0
  private nats = 0
  private lossPositions = 0

  /**
   * Counts predicted ids [B, T] against the scored positions of a batch; rows without one are left out.
   *
   * @throws RangeError when the sizes differ
   */
  addPredictions(batch: TaskBatch, predicted: ArrayLike<number>): void {
    checkSize('Tally.addPredictions', predicted, batch)
    for (let b = 0; b < batch.batch; b++) {
      let asked = 0
      let right = 0
      for (let i = b * batch.length; i < (b + 1) * batch.length; i++) {
        if (!batch.mask[i]) continue
        asked++
        if (predicted[i] === batch.targets[i]) right++
      }
      if (asked === 0) continue
      this.positions += asked
      this.right += right
      this.rows++
      if (right === asked) this.rightRows++
    }
  }

  /**
   * Adds a loss in nats for each position, [B, T], where the batch scores it.
   *
   * @throws RangeError when the sizes differ
   */
  addLosses(batch: TaskBatch, lossNats: ArrayLike<number>): void {
    checkSize('Tally.addLosses', lossNats, batch)
    for (let i = 0; i < batch.mask.length; i++) {
      if (!batch.mask[i]) continue
      this.nats += lossNats[i] as number
      this.lossPositions++
    }
  }

  /** Adds a loss summed, not averaged, over so many scored positions. */
  addLossSum(sumNats: number, positions: number): void {
    this.nats += sumNats
    this.lossPositions += positions
  }

  /** Share of the scored positions predicted right. */
  get tokenAcc(): number {
    return this.right / this.positions
  }

  /** Share of the rows with every scored position right. */
  get seqAcc(): number {
    return this.rightRows / this.rows
  }

  /** Mean loss of a scored position, in nats. */
  get lossNats(): number {
    return this.nats / this.lossPositions
  }
}

/** Scored positions of a batch. */
export function scored(batch: TaskBatch): number {
  return batch.mask.reduce((sum, weight) => sum + (weight ? 1 : 0), 0)
}

/** Accuracy and loss of drawing uniformly among so many answers. */
export function chance(answers: number): { accuracy: number; lossNats: number } {
  return { accuracy: 1 / answers, lossNats: Math.log(answers) }
}

/**
 * The most likely id at each position, the lowest of equals.
 *
 * @param logits [positions, size], row major
 * @returns [positions]
 */
export function argMax(logits: ArrayLike<number>, size: number): Int32Array {
  return Int32Array.from({ length: logits.length / size }, (_, position) => {
    let best = 0
    for (let id = 1; id < size; id++) {
      if ((logits[position * size + id] as number) > (logits[position * size + best] as number)) best = id
    }
    return best
  })
}

/**
 * Cross-entropy in nats at each scored position of a batch, 0 elsewhere; for references and small sets, not training.
 *
 * @param logits [B, T, size], row major
 * @returns [B, T]
 */
export function crossEntropy(batch: TaskBatch, logits: ArrayLike<number>, size: number): Float64Array {
  return Float64Array.from(batch.mask, (weight, position) => {
    if (!weight) return 0
    const at = position * size
    let top = Number.NEGATIVE_INFINITY
    for (let id = 0; id < size; id++) top = Math.max(top, logits[at + id] as number)
    let total = 0
    for (let id = 0; id < size; id++) total += Math.exp((logits[at + id] as number) - top)
    return top + Math.log(total) - (logits[at + (batch.targets[position] as number)] as number)
  })
}

/**
 * Bits per character of a mean loss in nats per token.
 *
 * @param charactersPerToken 1 at character level; see `TaskSpec.charactersPerToken`
 */
export function bitsPerCharacter(lossNats: number, charactersPerToken = 1): number {
  return lossNats / Math.LN2 / charactersPerToken
}

function checkSize(where: string, given: ArrayLike<number>, batch: TaskBatch): void {
  const size = batch.batch * batch.length
  if (given.length === size) return
  throw new RangeError(
    `${where}: expected [B, T] = [${batch.batch}, ${batch.length}], ${size} values, got ${given.length}.`,
  )
}
