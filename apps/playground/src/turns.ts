import { effect, type ReadonlySignal } from '@preact/signals'
import type { Lane } from './lane'
import { type Allowance, unbounded } from './protocol'

/** Long beside a step of a small model, short beside a reader's patience. */
const turnMs = 400

/**
 * Gives the runs turns, one at a time, so that none takes time from another: the next is always the one that has
 * trained least. Each ends when it has had its budget.
 *
 * @returns a function that stops it and lets all of them train at once again
 */
export function takeTurns(lanes: ReadonlySignal<readonly Lane[]>, budgetMs: number): () => void {
  let atWork: Lane | null = null
  for (const lane of lanes.peek()) lane.allow(firstAllowance(budgetMs))
  const stop = effect(() => {
    const waiting: Lane[] = []
    let busy = false
    for (const lane of lanes.value) {
      const running = lane.phase.value === 'running'
      if (running && lane.spent.value) waiting.push(lane)
      // a lane that was given a turn is at work until it says that it is spent
      else if (running && lane === atWork) busy = true
    }
    if (busy) return
    atWork = leastTrained(waiting)
    atWork?.allow({ untilMs: Math.min(budgetMs, atWork.elapsedMs.peek() + turnMs), budgetMs })
  })
  return () => {
    stop()
    for (const lane of lanes.peek()) lane.allow(unbounded)
  }
}

function leastTrained(lanes: readonly Lane[]): Lane | null {
  return lanes.reduce<Lane | null>(
    (least, lane) => (least === null || lane.elapsedMs.peek() < least.elapsedMs.peek() ? lane : least),
    null,
  )
}

/** What a run may take before its first turn; all it wants where time is not shared out. */
export function firstAllowance(budgetMs: number | null): Allowance {
  return budgetMs === null ? unbounded : { untilMs: 0, budgetMs }
}
