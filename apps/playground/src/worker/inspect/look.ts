import type { TokenModel } from '@mneme/core-tensor'
import { lookInside, type Recording, type TokenMap } from '@mneme/core-tensor/inspect/look-inside'

/** A model that is looked into, and how its tokens read. */
export interface Subject {
  readonly model: TokenModel
  readonly vocabulary: { decode?(ids: ArrayLike<number>): string }
}

export interface Guess {
  readonly text: string
  readonly probability: number
}

/** A token of the sequence, and what the model expects after it. */
export interface SeenToken {
  readonly id: number
  readonly text: string
  /** The likeliest, best first. */
  readonly guesses: readonly Guess[]
  /** What is due here, and its probability; null where nothing is asked. */
  readonly due: Guess | null
}

export interface Look {
  readonly tokens: readonly SeenToken[]
  readonly causal: boolean
  readonly maps: readonly TokenMap[]
  readonly recordings: readonly Recording[]
}

/** More tokens make pictures that no one can read. */
export const mostTokens = 96
const mostGuesses = 3

/** @param due id that is due at each token, negative where none is */
export async function look(
  { model, vocabulary }: Subject,
  ids: ArrayLike<number>,
  due?: ArrayLike<number>,
): Promise<Look> {
  const { maps, recordings, scores } = await lookInside(model, ids)
  const V = scores.length / ids.length
  const textOf = (id: number): string => vocabulary.decode?.([id]) ?? String(id)
  const tokens = Array.from({ length: ids.length }, (_, t): SeenToken => {
    const probabilities = softmax(scores.subarray(t * V, (t + 1) * V))
    const guess = (id: number): Guess => ({ text: textOf(id), probability: probabilities[id] as number })
    const wanted = due?.[t] ?? -1
    return {
      id: ids[t] as number,
      text: textOf(ids[t] as number),
      guesses: largest(probabilities, mostGuesses).map(guess),
      due: wanted < 0 ? null : guess(wanted),
    }
  })
  return { tokens, causal: model.traits.causal, maps, recordings }
}

function softmax(scores: Float32Array): Float32Array {
  const top = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const parts = scores.map((score) => Math.exp(score - top))
  const total = parts.reduce((a, b) => a + b, 0)
  return parts.map((part) => part / total)
}

/** Places of the largest values, the largest first. */
function largest(values: Float32Array, count: number): number[] {
  const best: number[] = []
  for (const [i, value] of values.entries()) {
    const at = best.findIndex((j) => value > (values[j] as number))
    if (at >= 0) best.splice(at, 0, i)
    else if (best.length < count) best.push(i)
    if (best.length > count) best.pop()
  }
  return best
}
