import type { ClaimRun } from './claim.js'

/** How a fact at the start of noise is learnt and asked for. */
export interface FactTask {
  /** Tokens of the longest rows in training. */
  readonly trained: number
  /** Training mixes multiples of this, growing over two thirds of the steps. */
  readonly shortest: number
  /** Lengths that are judged. */
  readonly lengths: readonly number[]
  readonly steps: number
  /** The one that does best on the validation split is judged; 0.002 alone where they are not given. */
  readonly rates?: readonly number[]
  /** Rows that are judged, in one batch; 128 where it is not given. */
  readonly rows?: number
}

/** What lines on this task have in common, for the words of a claim. */
export const factSetting =
  'one of 4 facts at the start, noise, and the question at the end; rows grow to their full length over the first half of training'

/** A model, 32 wide, that must carry one fact through noise: a line for each length that is judged. */
export const onFact = (
  name: string,
  paper: string,
  config: Readonly<Record<string, unknown>>,
  { trained, shortest, lengths, steps, rates, rows = 128 }: FactTask,
): ClaimRun[] =>
  lengths.map((testLength) => ({
    label: `${name}, ${testLength} tokens`,
    paper,
    config: { dModel: 32, ...config },
    task: 'fact-recall',
    taskConfig: { facts: 4, noise: 16, length: trained, place: 'start', shortest, growth: steps / 2 },
    train: { steps, batch: 16, lr: 2e-3, evalEvery: 0, evalBatches: 16 },
    ...(rates && { rates }),
    testLength,
    testRows: rows,
  }))

/** Whether one model knows the fact in at least 9 of 10 rows at every length, where another is not far from chance. */
export const onlyKnows =
  (name: string, other: string, lengths: readonly number[]) =>
  (of: (label: string) => number): boolean =>
    lengths.every((length) => of(`${name}, ${length} tokens`) >= 0.9 && of(`${other}, ${length} tokens`) < 0.4)
