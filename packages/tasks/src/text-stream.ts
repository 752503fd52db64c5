import { Rng, shuffle } from '@mneme/core-tensor/rng'
import { ask, blankBatch, checkCursor } from './batch.js'
import { checkInteger } from './check.js'
import type { TaskStream } from './task.js'

/** How a text is laid out in batches. */
export interface TextLayout {
  /** B rows. */
  readonly batch: number
  /** T tokens a window. */
  readonly length: number
  /**
   * 'carried': the text is cut into B equal rows, read in step, so that a row's state stays valid from batch to batch.
   * 'shuffled': windows of T in an order drawn anew for each pass; nothing carries over.
   */
  readonly order: 'carried' | 'shuffled'
}

/**
 * Language modelling over one long text: input token i, target token i + 1. A pass predicts every token but the first
 * exactly once; what does not fill the last windows has mask 0. Passes follow each other without end.
 *
 * @param stream names the stream in its cursors
 * @throws RangeError when the text is too short for a token in every row
 */
export function textStream(tokens: Int32Array, layout: TextLayout, seed: number, stream: string): TaskStream {
  const { batch, length, order } = layout
  const predictions = tokens.length - 1
  checkInteger('textStream.length', length, 1)
  checkInteger('textStream.batch', batch, 1, Math.max(1, predictions))
  checkInteger('textStream.tokens', tokens.length, 2)

  const carried = order === 'carried'
  const stride = Math.ceil(predictions / batch)
  const windows = Math.ceil(predictions / length)
  const passBatches = carried ? Math.ceil(stride / length) : Math.ceil(windows / batch)

  let passStart = new Rng(seed).save()
  let rng = Rng.restore(passStart)
  let position = 0
  const drawOrder = () =>
    carried
      ? undefined
      : shuffle(
          rng,
          Int32Array.from({ length: windows }, (_, i) => i),
        )
  let shuffled = drawOrder()

  /** The first and the last prediction of a row's window, half open. */
  const span = (row: number): [from: number, to: number] => {
    if (shuffled === undefined) {
      const from = row * stride + position * length
      return [from, Math.min(from + length, (row + 1) * stride, predictions)]
    }
    const from = (shuffled[position * batch + row] ?? windows) * length
    return [from, Math.min(from + length, predictions)]
  }

  return {
    passBatches,
    next() {
      if (position === passBatches) {
        position = 0
        passStart = rng.save()
        shuffled = drawOrder()
      }
      const blank = blankBatch(batch, length)
      blank.rows.forEach((row, b) => {
        const [from, to] = span(b)
        for (let i = from; i < to; i++) {
          row.inputs[i - from] = tokens[i] as number
          ask(row, i - from, tokens[i + 1] as number)
        }
      })
      const continues = carried && position > 0
      position++
      return { ...blank.batch, continues }
    },
    save: () => ({ stream, rng: passStart, position }),
    restore(cursor) {
      checkCursor(cursor, stream)
      passStart = cursor.rng
      rng = Rng.restore(passStart)
      position = cursor.position
      shuffled = drawOrder()
    },
  }
}
