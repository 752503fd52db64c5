import {
  advance,
  disposeState,
  type Module,
  normal,
  Rng,
  type SequenceMixer,
  type State,
  stateBytes,
  vjp,
} from '@mneme/core-tensor'
import { createModel } from '@mneme/models'
import { mechanismsInPapers, mixers } from '@mneme/models/mixers'
import { onesLike, slice, type Tensor, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { type Timing, timed } from './measure.js'

export interface MixerRow {
  readonly mixer: string
  readonly parameters: number
  /** Forward of 4 rows of 256 tokens. */
  readonly forward: Timing
  /** With the gradients of all parameters and of the input. */
  readonly both: Timing
  /** Bytes of the state of one row that was fed so many tokens; null where it was not, since it grows. */
  readonly states: readonly { readonly tokens: number; readonly bytes: number | null }[]
}

const [D, B, T] = [64, 4, 256]
/** Tokens that a state is fed at a time. */
const PIECE = 500

/** Tokens of the models that stand for what is no mixer by itself. */
const VOCABULARY = 64

/** What `benchMixers` times, by name. */
export const mixerNames: readonly string[] = [...Object.keys(mixers), ...Object.keys(mechanismsInPapers)]

/** Every mixer 64 wide, or the one named: cost a token both ways, and what its state takes after few tokens and after many. */
export async function benchMixers(lengths: readonly number[], only?: string): Promise<MixerRow[]> {
  const asked = (name: string): boolean => only === undefined || name === only
  const rows: MixerRow[] = []
  for (const [name, make] of Object.entries(mixers).filter(([name]) => asked(name))) {
    const x = normal(new Rng(2), [B, T, D], 1)
    const piece = (size: number): Tensor => normal(new Rng(3), [1, size, D], 1)
    rows.push(await row(name, make(D, new Rng(1)), x, [x], piece, lengths))
  }
  for (const [name, paper] of Object.entries(mechanismsInPapers).filter(([name]) => asked(name))) {
    const model = await createModel(paper, { vocabulary: VOCABULARY, dModel: D })
    const ids = (rng: Rng, rows: number, size: number): Tensor =>
      tensor2d(
        Int32Array.from({ length: rows * size }, () => rng.int(0, VOCABULARY)),
        [rows, size],
        'int32',
      )
    const piece = (size: number): Tensor => ids(new Rng(3), 1, size)
    rows.push(await row(`${name}: the model ${paper}`, model, ids(new Rng(2), B, T), [], piece, lengths))
  }
  return rows
}

/** What is timed: a mixer of vectors, or a model of tokens. */
type Timed = Module & Pick<SequenceMixer, 'initialState' | 'forward' | 'traits'>

async function row(
  name: string,
  subject: Timed,
  x: Tensor,
  inputs: readonly Tensor[],
  piece: (size: number) => Tensor,
  lengths: readonly number[],
): Promise<MixerRow> {
  const cotangent = tidy(() => onesLike(subject.forward(x).y))
  const by = [...inputs, ...subject.parameters().filter((v) => v.trainable)]
  const settled = async (results: readonly Tensor[]): Promise<void> => {
    await (results[0] as Tensor).data()
    for (const t of results) t.dispose()
  }
  const result = {
    mixer: name,
    parameters: subject.parameterCount(),
    forward: await timed(() => settled([tidy(() => subject.forward(x).y)]), 300),
    both: await timed(() => settled(tidy(() => vjp(() => [subject.forward(x).y], by, [cotangent]))), 300),
    states: statesAfter(subject, piece, lengths),
  }
  for (const t of [x, cotangent]) t.dispose()
  subject.dispose()
  return result
}

function statesAfter(mixer: Timed, pieceOf: (size: number) => Tensor, lengths: readonly number[]): MixerRow['states'] {
  const x = pieceOf(PIECE)
  let state: State = mixer.initialState(1)
  let done = 0
  const states = lengths.map((tokens) => {
    if (!mixer.traits.constantState && tokens > 1000) return { tokens, bytes: null }
    for (; done < tokens; done += PIECE) {
      const size = Math.min(PIECE, tokens - done)
      const piece = slice(x, 0, [1, size, ...x.shape.slice(2)])
      state = advance(state, () => ({ state: mixer.forward(piece, state).state })).state
      piece.dispose()
    }
    done = tokens
    return { tokens, bytes: stateBytes(state) }
  })
  disposeState(state)
  x.dispose()
  return states
}
