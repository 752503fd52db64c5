import type { Evaluation } from '@mneme/training'
import type { Sample } from './protocol'

/** A run's past as plain data, kept beside its checkpoint. */
export interface SavedHistory {
  readonly stride: number
  readonly steps: readonly number[]
  readonly losses: readonly number[]
  /** Milliseconds of training up to each step. */
  readonly times: readonly number[]
  readonly evaluations: readonly Evaluation[]
  readonly samples: readonly Sample[]
  readonly elapsedMs: number
}

const mostPoints = 4096
const mostSamples = 8

/**
 * Losses, evaluations and samples of a run. However long it gets, it stays small: when there are too many losses, each
 * two become their mean.
 */
export class History {
  readonly steps: number[] = []
  readonly losses: number[] = []
  readonly times: number[] = []
  evaluations: Evaluation[] = []
  samples: Sample[] = []
  elapsedMs = 0
  private stride = 1
  private open: number[] = []

  addLoss(step: number, loss: number, elapsedMs: number): void {
    this.elapsedMs = elapsedMs
    this.open.push(loss)
    if (this.open.length < this.stride) return
    this.steps.push(step)
    this.times.push(elapsedMs)
    this.losses.push(mean(this.open))
    this.open = []
    if (this.steps.length >= mostPoints) this.halve()
  }

  private halve(): void {
    const count = this.steps.length >> 1
    for (let i = 0; i < count; i++) {
      this.steps[i] = this.steps[2 * i + 1] as number
      this.times[i] = this.times[2 * i + 1] as number
      this.losses[i] = mean([this.losses[2 * i] as number, this.losses[2 * i + 1] as number])
    }
    this.steps.length = count
    this.times.length = count
    this.losses.length = count
    this.stride *= 2
  }

  addEvaluation(evaluation: Evaluation): void {
    this.evaluations.push(evaluation)
    if (this.evaluations.length > mostPoints) this.evaluations = this.evaluations.filter((_, i) => i % 2 === 1)
  }

  /** Keeps the first and the last ones, and between them those whose steps are about powers of two apart. */
  addSample(sample: Sample): void {
    this.samples.push(sample)
    if (this.samples.length <= mostSamples) return
    let closest = 1
    let least = Number.POSITIVE_INFINITY
    for (let i = 1; i < this.samples.length - 1; i++) {
      const [before, after] = [this.samples[i - 1] as Sample, this.samples[i + 1] as Sample]
      const ratio = (after.step + 1) / (before.step + 1)
      if (ratio < least) [least, closest] = [ratio, i]
    }
    this.samples.splice(closest, 1)
  }

  /** Mean of the last losses: steadier than any one of them. */
  recentLoss(count = 20): number | null {
    const last = this.losses.slice(-count)
    return last.length === 0 ? null : mean(last)
  }

  /** Milliseconds of training up to a step, between the steps that are kept. */
  timeAt(step: number): number {
    const after = firstAtLeast(this.steps, step)
    if (after === this.steps.length) return this.elapsedMs
    const [s0, t0] = after === 0 ? [0, 0] : [this.steps[after - 1] as number, this.times[after - 1] as number]
    const [s1, t1] = [this.steps[after] as number, this.times[after] as number]
    return t0 + ((t1 - t0) * (step - s0)) / (s1 - s0)
  }

  save(): SavedHistory {
    const { stride, steps, losses, times, evaluations, samples, elapsedMs } = this
    return {
      stride,
      steps,
      losses: losses.map((loss) => Math.round(loss * 1e5) / 1e5),
      times: times.map(Math.round),
      evaluations,
      samples,
      elapsedMs,
    }
  }

  /** Takes over a saved past up to a step: what came after it will come again. */
  static restore(saved: SavedHistory, upTo: number): History {
    const history = new History()
    const count = saved.steps.filter((step) => step <= upTo).length
    history.steps.push(...saved.steps.slice(0, count))
    history.losses.push(...saved.losses.slice(0, count))
    history.times.push(...saved.times.slice(0, count))
    history.evaluations = saved.evaluations.filter(({ step }) => step <= upTo)
    history.samples = saved.samples.filter(({ step }) => step <= upTo)
    history.elapsedMs = count < saved.steps.length ? (saved.times[count - 1] ?? 0) : saved.elapsedMs
    history.stride = saved.stride
    return history
  }
}

/** Index of the first of ascending values that is no smaller; their count if there is none. */
function firstAtLeast(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((values[middle] as number) < bound) low = middle + 1
    else high = middle
  }
  return low
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}

/** Running mean over a span that grows with the curve: short where it falls steeply at first, long where it is flat. */
export function smoothed(losses: readonly number[]): number[] {
  const longest = Math.max(12, losses.length / 50)
  let value = losses[0] ?? 0
  return losses.map((loss, i) => {
    value += (loss - value) / Math.min(longest, 1 + i / 6)
    return value
  })
}
