import type { Rng } from './rng.js'

export interface SamplingOptions {
  /** Divides the scores; 0 takes the largest. */
  readonly temperature: number
  /** Keep the k largest; 0 keeps all. */
  readonly topK: number
  /** Keep the fewest whose probabilities add up to p; 1 keeps all. */
  readonly topP: number
  /** Above 1, scores of tokens that already occurred are lowered (Keskar et al. 2019, arXiv:1909.05858). */
  readonly repetitionPenalty: number
}

export const samplingDefaults: SamplingOptions = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 }

/** @throws RangeError naming the setting, the expected range and the given value */
export function checkSampling({ temperature, topK, topP, repetitionPenalty }: SamplingOptions): void {
  const expect = (holds: boolean, name: string, range: string, got: number): void => {
    if (!holds) throw new RangeError(`generate ${name}: expected ${range}, got ${got}.`)
  }
  expect(temperature >= 0 && Number.isFinite(temperature), 'temperature', 'a finite number, 0 or more', temperature)
  expect(Number.isInteger(topK) && topK >= 0, 'topK', 'a whole number, 0 or more', topK)
  expect(topP > 0 && topP <= 1, 'topP', 'a number in (0, 1]', topP)
  expect(
    repetitionPenalty > 0 && Number.isFinite(repetitionPenalty),
    'repetitionPenalty',
    'a positive number',
    repetitionPenalty,
  )
}

/** A token with the natural logarithm of its probability under the model, before temperature and cuts. */
export interface ScoredToken {
  readonly id: number
  readonly logProbability: number
}

export interface Sampled extends ScoredToken {
  /** The likeliest tokens at this place, from the top, where they were asked for. */
  readonly likeliest?: readonly ScoredToken[]
}

/** The `count` likeliest tokens of scores `[V]`, from the top; of equals the lower id first. Time O(V count). */
export function likeliest(scores: Float32Array, count: number): ScoredToken[] {
  const norm = logSumExp(scores)
  const top: ScoredToken[] = []
  for (const [id, score] of scores.entries()) {
    const logProbability = score - norm
    if (top.length === count && logProbability <= (top[count - 1] as ScoredToken).logProbability) continue
    const at = top.findIndex((other) => other.logProbability < logProbability)
    top.splice(at < 0 ? top.length : at, 0, { id, logProbability })
    if (top.length > count) top.pop()
  }
  return top
}

/** Draws one token from scores `[V]`. `seen` are the ids that the repetition penalty applies to. Time O(V log V) at most. */
export function sample(scores: Float32Array, options: SamplingOptions, seen: ReadonlySet<number>, rng: Rng): Sampled {
  const adjusted = Float64Array.from(scores)
  if (options.repetitionPenalty !== 1) {
    for (const id of seen) {
      const score = adjusted[id] as number
      adjusted[id] = score > 0 ? score / options.repetitionPenalty : score * options.repetitionPenalty
    }
  }
  const id = options.temperature === 0 ? largest(adjusted) : draw(adjusted, options, rng)
  return { id, logProbability: (scores[id] as number) - logSumExp(scores) }
}

function draw(scores: Float64Array, { temperature, topK, topP }: SamplingOptions, rng: Rng): number {
  const top = scores[largest(scores)] as number
  const weights = scores.map((score) => Math.exp((score - top) / temperature))
  const kept = topK > 0 || topP < 1 ? cut(weights, topK, topP) : null
  let total = 0
  if (kept === null) for (const weight of weights) total += weight
  else for (const id of kept) total += weights[id] as number
  let left = rng.uniform() * total
  const count = kept === null ? weights.length : kept.length
  let id = 0
  for (let i = 0; i < count; i++) {
    id = kept === null ? i : (kept[i] as number)
    left -= weights[id] as number
    if (left < 0) break
  }
  return id
}

/** Ids that survive top-k, then top-p, from the likeliest down. */
function cut(weights: Float64Array, topK: number, topP: number): number[] {
  const order = Array.from(weights.keys()).sort((a, b) => (weights[b] as number) - (weights[a] as number))
  const byCount = topK > 0 ? order.slice(0, topK) : order
  if (topP >= 1) return byCount
  const total = byCount.reduce((sum, id) => sum + (weights[id] as number), 0)
  let mass = 0
  const end = byCount.findIndex((id) => {
    mass += weights[id] as number
    return mass >= topP * total
  })
  return byCount.slice(0, end < 0 ? byCount.length : end + 1)
}

function largest(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

function logSumExp(values: Float32Array): number {
  const top = values[largest(values)] as number
  let total = 0
  for (const value of values) total += Math.exp(value - top)
  return top + Math.log(total)
}
