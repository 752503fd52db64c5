import { type Tensor, type Tensor2D, zeros } from '@tensorflow/tfjs-core'
import { hostValues } from './host-values.js'
import type { Mixed, Pass, SequenceMixer } from './mixer.js'
import { joined, pieceOf } from './ops/blocks.js'
import { dims } from './shape.js'
import { type ByRow, joinBatch, type State, sliceBatch } from './state.js'

/**
 * Padding and packed documents for a mixer that counts positions by numbers, one for all rows: each row is run alone,
 * its padding left out, every document from a new initial state; outputs come back to their places, with zeros at padding.
 * The line with which such a mixer's `forward` begins, after `dims`:
 *
 *   const apart = rowByRow(this, x, state, pass)
 *   if (apart !== null) return apart
 *
 * Null where there is nothing to do. Where all rows have padding and documents at the same places, they stay together; else
 * it costs a call for each row and document, B times the calls of a batch without padding. Rows that end at the same place
 * of their segments are one state again; others are `{ byRow }`, and later calls go row by row too.
 *
 * What a pass records of row b is at `rows.b`. Mask and resets are read at once: on webgpu they have to be made of host data,
 * and to come to the mixer before any op of the caller's.
 *
 * @param width of an output, where it is not that of x
 * @throws RangeError for a mask or resets of another shape, or that cannot be read, and for a state of other rows
 */
export function rowByRow<S extends State>(
  mixer: Pick<SequenceMixer<S>, 'initialState' | 'forward'>,
  x: Tensor,
  state: S | undefined,
  pass: Pass | undefined,
  width = x.shape[2] as number,
): Mixed<S> | null {
  const { mask, resets, tokenTypes, record, shared, ...plain } = pass ?? { training: false }
  const states = (state as Partial<ByRow> | undefined)?.byRow
  if (!mask && !resets && !states) return null
  const [B, T] = x.shape as [number, number]
  if (states) dims('state byRow', { shape: [states.length] }, 'B', { B })
  const [tokens, starts] = [mask, resets].map((given) => given && valuesOf(given, B, T))
  // 0 for padding, 1 for a token, 2 for one that starts anew
  const kinds = Array.from({ length: B * T }, (_, i) => (tokens?.[i] === 0 ? 0 : starts?.[i] ? 2 : 1))
  const together = !states && kinds.every((kind, i) => kind === kinds[i % T])
  const size = together ? B : 1
  const mixed = Array.from({ length: B / size }, (_, begin): Mixed<S> => {
    const documents: number[][] = []
    for (let t = 0; t < T; t++) {
      const kind = kinds[begin * T + t]
      if (kind === 2 || (kind && !documents[0])) documents.push([t])
      else if (kind) documents.at(-1)?.push(t)
    }
    const padding = T - documents.flat().length
    const cut = (all: Tensor, places: readonly number[]): Tensor => taken(pieceOf(all, { begin, size }, 0), places)
    let after = state ? sliceBatch(state, begin, size) : mixer.initialState(size)
    const ys = documents.map((places) => {
      const first = places[0] as number
      // what a layer leaves of a document is found by those after it that run the same one
      const at = `${begin}.${first}.`
      const { y, state } = mixer.forward(
        cut(x, places),
        kinds[begin * T + first] === 2 ? mixer.initialState(size) : after,
        {
          ...plain,
          ...(tokenTypes && { tokenTypes: cut(tokenTypes, places) as Tensor2D }),
          ...(record && { record: together ? record : record.at(`rows.${begin}`) }),
          ...(shared && {
            shared: { get: (name) => shared.get(at + name), set: (name, value) => shared.set(at + name, value) },
          }),
        },
      )
      after = state
      return y
    })
    // all tokens stand in front of all padding
    if (padding > 0) ys.push(zeros([size, padding, width]))
    let [token, gap] = [0, T - padding]
    const order = kinds.slice(begin * T, begin * T + T).map((kind) => (kind ? token++ : gap++))
    return { y: taken(joined(ys, 1), order), state: after }
  })
  const after = mixed.map((row) => row.state)
  const forms = after.map((row) => JSON.stringify(row, (_, leaf) => leaf?.shape ?? leaf))
  return {
    y: joined(
      mixed.map((row) => row.y),
      0,
    ),
    state: new Set(forms).size > 1 ? ({ byRow: after } as State as S) : joinBatch(after),
  }
}

/** What stands at those places of time, run by run. */
function taken(x: Tensor, places: readonly number[]): Tensor {
  const starts = places.flatMap((t, i) => (t - 1 === places[i - 1] ? [] : i))
  const runs = starts.map((from, n) => ({
    begin: places[from] as number,
    size: (starts[n + 1] ?? places.length) - from,
  }))
  return joined(
    runs.map((run) => pieceOf(x, run, 1)),
    1,
  )
}

function valuesOf(given: Tensor, B: number, T: number): ArrayLike<number> {
  dims('mask or resets', given, 'B T', { B, T })
  try {
    return hostValues(given)
  } catch (cause) {
    throw new RangeError('mask or resets: expected host data.', { cause })
  }
}
