import type { Experiment } from '@mneme/training'
import type { MeasureReply, MeasureRequest } from '../worker/measure'
import { findPaper } from './catalogue'
import { type Measured, type Solution, solve } from './solve'

/** An experiment with its settings changed so that its model counts the same as another. */
export interface Equalised {
  readonly experiment: Experiment
  readonly target: number
  readonly solution: Solution
}

/**
 * Changes every experiment but the first until its model has as many parameters, or bytes of state, as the first.
 * Models are built and counted in a worker that ends with it.
 *
 * @throws Error in words: an experiment whose settings are refused
 */
export async function equalise(
  experiments: readonly Experiment[],
  what: keyof Measured,
  onDone: (index: number, found: Equalised) => void,
): Promise<void> {
  const counter = new Counter()
  try {
    const [first, ...others] = experiments
    if (first === undefined) return
    const target = (await counter.measure(first))[what]
    if (target === 0) throw new RangeError('Run A keeps no state, so there is nothing to be equal to.')
    for (const [i, experiment] of others.entries()) {
      // fails in words where solve would only hear of a refusal
      await counter.measure(experiment)
      const solution = await solve({
        standard: findPaper(experiment.paper)?.config ?? {},
        given: experiment.config,
        what,
        target,
        measure: (config) => counter.measure({ ...experiment, config }).catch(() => null),
      })
      onDone(i + 1, { experiment: { ...experiment, config: solution.config }, target, solution })
    }
  } finally {
    counter.end()
  }
}

/** Counts models in a worker of its own. */
class Counter {
  private readonly worker = new Worker(new URL('../worker/measure.ts', import.meta.url), {
    type: 'module',
    name: 'counting',
  })
  private readonly waiting = new Map<number, { resolve(found: Measured): void; reject(error: Error): void }>()
  private asked = 0

  constructor() {
    this.worker.addEventListener('message', ({ data }: MessageEvent<MeasureReply>) => {
      const waiting = this.waiting.get(data.id)
      this.waiting.delete(data.id)
      if ('found' in data) waiting?.resolve(data.found)
      else waiting?.reject(new Error(data.refusal))
    })
    this.worker.addEventListener('error', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('The code that counts could not be loaded.'))
    })
  }

  measure(experiment: Experiment): Promise<Measured> {
    const request: MeasureRequest = { id: ++this.asked, experiment }
    this.worker.postMessage(request)
    return new Promise((resolve, reject) => {
      this.waiting.set(request.id, { resolve, reject })
    })
  }

  end(): void {
    this.worker.terminate()
  }
}
