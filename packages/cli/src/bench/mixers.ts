import { advance, disposeState, normal, Rng, type SequenceMixer, type State, stateBytes, vjp } from '@mneme/core-tensor'
import { type MakeMixer, mixers } from '@mneme/models/mixers'
import { ones, slice, type Tensor, tidy } from '@tensorflow/tfjs-core'
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

/** Every mixer 64 wide: cost a token both ways, and what its state takes after few tokens and after many. */
export async function benchMixers(lengths: readonly number[]): Promise<MixerRow[]> {
  const rows: MixerRow[] = []
  for (const [name, make] of Object.entries(mixers)) rows.push(await row(name, make, lengths))
  return rows
}

async function row(name: string, make: MakeMixer, lengths: readonly number[]): Promise<MixerRow> {
  const mixer = make(D, new Rng(1))
  const x = normal(new Rng(2), [B, T, D], 1)
  const cotangent = ones([B, T, D])
  const by = [x, ...mixer.parameters().filter((v) => v.trainable)]
  const settled = async (results: readonly Tensor[]): Promise<void> => {
    await (results[0] as Tensor).data()
    for (const t of results) t.dispose()
  }
  const result = {
    mixer: name,
    parameters: mixer.parameterCount(),
    forward: await timed(() => settled([tidy(() => mixer.forward(x).y)]), 300),
    both: await timed(() => settled(tidy(() => vjp(() => [mixer.forward(x).y], by, [cotangent]))), 300),
    states: statesAfter(mixer, lengths),
  }
  for (const t of [x, cotangent]) t.dispose()
  mixer.dispose()
  return result
}

function statesAfter(mixer: SequenceMixer, lengths: readonly number[]): MixerRow['states'] {
  const x = normal(new Rng(3), [1, PIECE, D], 1)
  let state: State = mixer.initialState(1)
  let done = 0
  const states = lengths.map((tokens) => {
    if (!mixer.traits.constantState && tokens > 1000) return { tokens, bytes: null }
    for (; done < tokens; done += PIECE) {
      const piece = slice(x, [0, 0, 0], [1, Math.min(PIECE, tokens - done), D])
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
