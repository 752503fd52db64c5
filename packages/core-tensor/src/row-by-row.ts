import { concat, Tensor, type Tensor2D, zeros } from '@tensorflow/tfjs-core'
import { hostValues } from './host-values.js'
import type { Mixed, Pass, SequenceMixer } from './mixer.js'
import { joined, pieceOf, type Span } from './ops/blocks.js'
import { dims } from './shape.js'
import { type ByRow, leaves, mapState, type State, sliceBatch } from './state.js'

/** What stands at a position: nothing, a token, or one that starts anew. */
const [PADDING, TOKEN, START] = [0, 1, 2]

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
  const rows = (state as Partial<ByRow<S>> | undefined)?.byRow
  if (!mask && !resets && !rows) return null
  const [B, T] = x.shape as [number, number]
  if (rows && rows.length !== B) throw new RangeError(`state: expected ${B} rows, got ${rows.length}.`)
  const [tokens, starts] = [valuesOf('mask', mask, B, T), valuesOf('resets', resets, B, T)]
  const kinds = Array.from({ length: B * T }, (_, i) => (tokens?.[i] === 0 ? PADDING : starts?.[i] ? START : TOKEN))
  const together = !rows && kinds.every((kind, i) => kind === kinds[i % T])

  const run = (unit: Span, before: S | undefined): Mixed<S> => {
    let after = before ?? mixer.initialState(unit.size)
    const outputs: Tensor[] = []
    let open: Span[] = []
    /** Runs the tokens of a document that padding may stand between. */
    const close = (): void => {
      const first = open[0]
      if (first === undefined) return
      const cut = (all: Tensor): Tensor =>
        joined(
          open.map((span) => pieceOf(pieceOf(all, unit, 0), span, 1)),
          1,
        )
      const mixed = mixer.forward(cut(x), after, {
        ...plain,
        ...(tokenTypes && { tokenTypes: cut(tokenTypes) as Tensor2D }),
        ...(record && { record: together ? record : record.at(`rows.${unit.begin}`) }),
        // what a layer leaves of a document is found by those after it that run the same one
        ...(shared && { shared: under(`${unit.begin}.${first.begin}.`, shared) }),
      })
      let begin = 0
      for (const { begin: place, size } of open) {
        outputs[place] = pieceOf(mixed.y, { begin, size }, 1)
        begin += size
      }
      after = mixed.state
      open = []
    }
    for (let begin = 0; begin < T; ) {
      const kind = kinds[unit.begin * T + begin]
      let size = 1
      while (begin + size < T && kinds[unit.begin * T + begin + size] === (kind && TOKEN)) size++
      if (kind === START) {
        close()
        after = mixer.initialState(unit.size)
      }
      if (kind === PADDING) outputs[begin] = zeros([unit.size, size, width])
      else open.push({ begin, size })
      begin += size
    }
    close()
    // places between the begins are not there
    return { y: joined(outputs.flat(), 1), state: after }
  }

  if (together) return run({ begin: 0, size: B }, state)
  const mixed = Array.from({ length: B }, (_, begin) =>
    run({ begin, size: 1 }, rows ? rows[begin] : state && sliceBatch(state, begin, 1)),
  )
  return {
    y: joined(
      mixed.map(({ y }) => y),
      0,
    ),
    state: merged(mixed.map((row) => row.state)),
  }
}

function valuesOf(name: string, given: Tensor | undefined, B: number, T: number): ArrayLike<number> | undefined {
  if (given === undefined) return undefined
  dims(`pass ${name}`, given, 'B T', { B, T })
  try {
    return hostValues(given)
  } catch (cause) {
    throw new RangeError(`pass ${name}: expected values at hand. Make it with tensor2d.`, { cause })
  }
}

const under = (path: string, shared: NonNullable<Pass['shared']>): NonNullable<Pass['shared']> => ({
  get: (name) => shared.get(path + name),
  set: (name, value) => shared.set(path + name, value),
})

/** One state of all rows where they differ in nothing but values. */
function merged<S extends State>(rows: readonly S[]): S {
  const [first] = rows as readonly [S]
  if (rows.length === 1) return first
  const form = (row: S): string =>
    Array.from(leaves(row), ([path, leaf]) => `${path} ${leaf instanceof Tensor ? `[${leaf.shape}]` : leaf}`).join()
  const expected = form(first)
  if (rows.some((row) => form(row) !== expected)) return { byRow: rows } as State as S
  const found = rows.map((row) => new Map(leaves(row)))
  return mapState(first, (_, path) => concat(found.map((row) => row.get(path) as Tensor)))
}
