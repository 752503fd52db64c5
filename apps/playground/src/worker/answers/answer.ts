import type { Vocabulary } from '@mneme/tasks'
import type { Run } from '@mneme/training'

/** What an answer works with: the run as it stands between two steps. Training waits until the answer is given. */
export interface Live {
  readonly run: Run
  readonly vocabulary: Vocabulary
}

export interface Call<Part = never> {
  /** Aborts when the page no longer waits: the answer then returns what it has, or throws. */
  readonly signal: AbortSignal
  /** Sends something to the page at once, before the answer is complete. */
  tell(part: Part): void
}

/**
 * Answers one question that the page has about a run. It frees every tensor that it makes, leaves the run as it was,
 * and gives way now and then (`breather`), so that the signal can reach it. Payload, parts and reply are what
 * `structuredClone` can copy.
 *
 * @throws Error whose message the page can show
 */
export type Answer<Payload, Reply, Part = never> = (live: Live, payload: Payload, call: Call<Part>) => Promise<Reply>
