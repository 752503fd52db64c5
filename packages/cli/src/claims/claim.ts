import type { DistillKind, Experiment } from '@mneme/training'

/** One line of a claim's table: an experiment without its seed, and a name for it. */
export interface ClaimRun extends Omit<Experiment, 'seed'> {
  readonly label: string
  /** Length that is judged, where it is not the trained one; 0 takes the trained one. Lines that differ in nothing else share their training. */
  readonly testLength?: number
  /** Rows that are judged, in one batch; absent for as many batches as the training's own evaluation has. */
  readonly testRows?: number
  /** What is trained first, on the same task and as long; where names agree, training goes on from its weights. */
  readonly startsFrom?: { readonly paper: string; readonly config: Experiment['config'] }
  /** In place of the task: stages in which the model of `startsFrom` teaches, each for an equal share of the steps. */
  readonly distils?: readonly DistillKind[]
  /** What reads the trained weights when they are judged, where it is not what was trained; of the same parameters. */
  readonly readBy?: { readonly paper: string; readonly config: Experiment['config'] }
  /** Whether the bytes of a training step are measured. */
  readonly profiled?: boolean
  /** Learning rates that are tried; the one that does best on the validation split is judged. Absent for the one of `train`. */
  readonly rates?: readonly number[]
}

/** What a line trains, without what is said of it and how it is judged. */
export function experimentOf({ paper, config, task, taskConfig, train }: ClaimRun, seed: number): Experiment {
  return { paper, config, task, taskConfig, train, seed }
}

/** What a trained run was found to do. Plain JSON; kept under the hash of what was run. */
export interface RunResult {
  readonly hash: string
  readonly label: string
  readonly seed: number
  readonly parameters: number
  /** Of one row at the length that is judged. */
  readonly stateBytes: number
  readonly tokens: number
  /** The rate that was chosen, where several were tried. */
  readonly lr?: number
  /** Of training, at all rates, on the machine that ran it. */
  readonly seconds: number
  readonly lossNats: number
  readonly tokenAcc: number
  readonly seqAcc: number
  /** The most that buffers of tensors held at a time within a training step, where it was measured. */
  readonly peakBytes?: number
}

export type Measure = 'lossNats' | 'tokenAcc' | 'seqAcc' | 'seconds' | 'peakBytes'

/** The seeds of one line, as far as they have run. */
export interface ClaimRow {
  readonly label: string
  readonly paper: string
  readonly seeds: number
  readonly median: number
  readonly low: number
  readonly high: number
  readonly parameters: number
  readonly stateBytes: number
  readonly tokens: number
  /** Median over seeds. */
  readonly seconds: number
}

/** A sentence with figures, and whether they bear the claim out. */
export interface Verdict {
  readonly pass: boolean
  readonly because: string
}

/** An experiment that a paper's main claim stands or falls with, small enough for minutes on two cores. */
export interface Claim {
  readonly key: string
  /** Keys of the papers whose claim this is; without those that are only compared with. */
  readonly papers: readonly string[]
  readonly title: string
  /** What is judged, in one sentence that can be wrong. */
  readonly sentence: string
  /** What was done, and what is smaller here than in the papers. */
  readonly setting: string
  readonly measure: Measure
  readonly seeds: readonly number[]
  /** What the lines that are compared have in common, and how far they may be apart as a share of the smallest. */
  readonly equal: { readonly what: 'parameters' | 'stateBytes'; readonly within: number } | null
  readonly runs: readonly ClaimRun[]
  /** Judges complete tables only; `row` throws for a label that does not exist. */
  verdict(row: (label: string) => ClaimRow): Verdict
  /** A picture of the table. */
  figure?(rows: readonly ClaimRow[]): string
}

/** Lines of the table that have run, in the order of the claim. */
export function rowsOf(claim: Claim, results: readonly RunResult[]): ClaimRow[] {
  return claim.runs.flatMap((run) => {
    const own = results.filter(({ label }) => label === run.label)
    const first = own[0]
    if (first === undefined) return []
    const values = own.map((result) => measured(result, claim.measure))
    return [
      {
        label: run.label,
        paper: run.paper,
        seeds: own.length,
        median: median(values),
        low: Math.min(...values),
        high: Math.max(...values),
        parameters: first.parameters,
        stateBytes: first.stateBytes,
        tokens: first.tokens,
        seconds: median(own.map(({ seconds }) => seconds)),
      },
    ]
  })
}

/** What a result tells of a measure. @throws RangeError where it was not measured */
export function measured(result: RunResult, measure: Measure): number {
  const value = result[measure]
  if (value === undefined)
    throw new RangeError(`claim: expected '${result.label}' to tell its ${measure}, got nothing.`)
  return value
}

/** The verdict, or null while a run is missing. */
export function judge(claim: Claim, rows: readonly ClaimRow[]): Verdict | null {
  const complete = claim.runs.every(({ label }) =>
    rows.some((row) => row.label === label && row.seeds === claim.seeds.length),
  )
  if (!complete) return null
  return claim.verdict((label) => {
    const found = rows.find((row) => row.label === label)
    if (found === undefined) throw new RangeError(`claim ${claim.key}: expected one of its labels, got '${label}'.`)
    return found
  })
}

/** Middle value; the mean of the two middle ones where they are even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const at = (index: number): number => sorted[index] as number
  return sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2
}
