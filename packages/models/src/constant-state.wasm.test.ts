import { advance, disposeState, normal, Rng, type SequenceMixer, type State, stateBytes } from '@mneme/core-tensor'
import { slice } from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { mixers } from './mixers.js'

const D = 16
const FEW = 100
const MANY = 100_000
const PIECE = 10_000

/**
 * A hundred thousand tokens take these seconds or minutes, since they go segment by segment, or token by token, through
 * ops of tfjs, or have many features. Segments, windows and chunks are of 32 tokens or a half, a quarter or an eighth of
 * that, so that multiples of 32, of which 100,000 is one, stand at the same place of each. From these on all that they can
 * hold is full.
 */
const full: Readonly<Record<string, number>> = {
  'softmax, window 32': 128,
  'linear, Taylor': 128,
  'linear, FAVOR+': 128,
  latte: 128,
  arelit: 128,
  'pooled neural memory': 128,
  'artificial hippocampus': 128,
  'relative, segments of 32': 128,
  'block recurrence': 128,
  persistent: 128,
  infini: 128,
  'neural memory': 128,
  'memory as context': 128,
  'memory as gate': 128,
  'memory as layer': 128,
  compressive: 128,
  'memory shift, two layers': 128,
  'memory tokens': 128,
  'associative layers': 128,
  'memory prefix': 128,
  'memory bank': 128,
  'nearest neighbours': 4_160,
  'memory hops': 128,
  'turing memory': 128,
}

/** Bytes of the state of one row, measured after each of these numbers of tokens. */
function measured(mixer: SequenceMixer, lengths: readonly number[]): number[] {
  const x = normal(new Rng(2), [1, PIECE, D], 1)
  let state: State = mixer.initialState(1)
  let done = 0
  const bytes = lengths.map((length) => {
    while (done < length) {
      const size = Math.min(PIECE, length - done)
      const piece = slice(x, [0, 0, 0], [1, size, D])
      state = advance(state, () => ({ state: mixer.forward(piece, state).state })).state
      piece.dispose()
      done += size
    }
    return stateBytes(state)
  })
  disposeState(state)
  x.dispose()
  return bytes
}

const bounded = Object.entries(mixers).flatMap(([name, make]) => {
  const mixer = make(D, new Rng(1))
  const { constantState } = mixer.traits
  mixer.dispose()
  return constantState ? [[name, make] as const] : []
})

describe('state of mixers that say it is bounded', () => {
  test.each(bounded.filter(([name]) => full[name] === undefined))(
    '%s: fed 100,000 tokens it takes what it took after 100',
    (_, make) => {
      const mixer = make(D, new Rng(1))
      const [few, many] = measured(mixer, [FEW, MANY])
      expect(many).toBe(few)
      expect(mixer.stateBytes(MANY)).toBe(many)
      mixer.dispose()
    },
  )

  test.each(bounded.filter(([name]) => full[name] !== undefined))(
    '%s: whole segments later it takes as much, and what it says for 100,000 tokens',
    (name, make) => {
      const mixer = make(D, new Rng(1))
      const from = full[name] as number
      const [once, later] = measured(mixer, [from, from + 96])
      expect(later).toBe(once)
      expect(mixer.stateBytes(MANY)).toBe(later)
      mixer.dispose()
    },
  )

  test('whatever is named above is there', () => {
    expect(bounded.map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(full)))
  })
})
