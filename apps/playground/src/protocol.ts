import type { Baseline, TaskSpec } from '@mneme/tasks'
import type { Evaluation, Experiment, StepReport } from '@mneme/training'
import type { SavedHistory } from './history'
import type { Call } from './worker/answers/answer'
import type { answers } from './worker/answers/table'

/** Every message between the page and a run's worker; a worker holds one run and ends with it. */
export type BackendName = 'webgpu' | 'wasm' | 'cpu'
export type BackendChoice = 'auto' | BackendName

export type Phase = 'loading' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed'

export interface StartCommand {
  readonly type: 'start'
  readonly run: number
  readonly experiment: Experiment
  readonly backend: BackendChoice
  /** Name that the run is kept under between visits. */
  readonly saveKey: string
  /** Forgets what was kept, and starts from the first step. */
  readonly fresh: boolean
  /** Time that it may take at first. */
  readonly allowance: Allowance
}

/** How long a run may train, counted over all visits: it waits at the first bound, and has finished at the second. */
export interface Allowance {
  readonly untilMs: number
  readonly budgetMs: number
}

/** A question's name; what it takes, sends on the way and replies with stands in `worker/answers/<name>.ts`. */
export type Question = keyof typeof answers
type AnswerTo<K extends Question> = Awaited<ReturnType<(typeof answers)[K]>>['answer']
export type Payload<K extends Question> = Parameters<AnswerTo<K>>[1]
export type Reply<K extends Question> = Awaited<ReturnType<AnswerTo<K>>>
export type Part<K extends Question> = Parameters<AnswerTo<K>>[2] extends Call<infer P> ? P : never

export interface AskCommand {
  readonly type: 'ask'
  readonly run: number
  /** Comes back with everything that is said in answer. */
  readonly id: number
  readonly question: Question
  readonly payload: unknown
}

export const unbounded: Allowance = { untilMs: Number.POSITIVE_INFINITY, budgetMs: Number.POSITIVE_INFINITY }

export type Command =
  | StartCommand
  | AskCommand
  | { readonly type: 'allow'; readonly run: number; readonly allowance: Allowance }
  | { readonly type: 'cancel'; readonly run: number; readonly id: number }
  | { readonly type: 'pause' | 'resume' | 'step' | 'stop' | 'save'; readonly run: number }

/** What stays the same over a run. */
export interface RunFacts {
  readonly parameters: number
  /** State of one row after as many tokens as it is trained on. */
  readonly stateBytes: number
  readonly stateTokens: number
  readonly constantState: boolean
  readonly steps: number
  readonly tokensPerStep: number
  readonly kind: TaskSpec['kind']
  readonly metric: TaskSpec['metric']
  /** Whether a prompt can be turned into tokens. */
  readonly takesPrompt: boolean
}

/** Text that the model wrote, after a prompt. */
export interface TextSample {
  readonly form: 'text'
  readonly step: number
  readonly prompt: string
  readonly text: string
}

/** One row of the task: what went in, what was due, what came. */
export interface RowSample {
  readonly form: 'row'
  readonly step: number
  readonly cells: readonly {
    readonly input: string
    /** Absent where nothing is asked. */
    readonly target?: string
    readonly predicted?: string
  }[]
  readonly right: number
  readonly asked: number
}

export type Sample = TextSample | RowSample

/** Something went wrong, in words, and what can be done about it. */
export interface Trouble {
  readonly message: string
  readonly remedy: string
  /** The run has ended; otherwise it goes on. */
  readonly fatal: boolean
}

/** What a worker says to a question: parts, and then a reply or why there is none. */
export type AskedReport =
  | { readonly type: 'part'; readonly id: number; readonly part: unknown }
  | { readonly type: 'reply'; readonly id: number; readonly reply: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly message: string }

export type Report =
  | AskedReport
  | { readonly type: 'stage'; readonly text: string }
  | {
      readonly type: 'backend'
      readonly name: BackendName
      readonly why: string
      /** Ops whose kernels failed their self-test on this device, and which run by their references. */
      readonly leftOut: readonly string[]
    }
  | {
      readonly type: 'begun'
      readonly facts: RunFacts
      readonly history: SavedHistory | null
      /** The step that it goes on from; null for a new run. */
      readonly resumedAt: number | null
    }
  | {
      readonly type: 'progress'
      readonly points: readonly (readonly [step: number, loss: number, elapsedMs: number])[]
      readonly latest: StepReport
      /** Time spent in training, over all visits. */
      readonly elapsedMs: number
    }
  | { readonly type: 'evaluation'; readonly evaluation: Evaluation }
  | {
      readonly type: 'baselines'
      readonly baselines: readonly Baseline[]
      /** Characters that a token of the validation split stands for; null if the task is no text. */
      readonly charactersPerToken: number | null
    }
  | { readonly type: 'sample'; readonly sample: Sample }
  | { readonly type: 'phase'; readonly phase: Phase }
  /** The time that it was allowed is used up; it waits for more. */
  | { readonly type: 'spent'; readonly elapsedMs: number }
  | { readonly type: 'saved'; readonly step: number }
  /** Another tab keeps this run. */
  | { readonly type: 'unkept' }
  | { readonly type: 'trouble'; readonly trouble: Trouble }

export type RunReport = Report & { readonly run: number }

export function isAnswer(report: RunReport): report is RunReport & AskedReport {
  return report.type === 'part' || report.type === 'reply' || report.type === 'refusal'
}

const patient: ReadonlySet<Report['type']> = new Set(['progress', 'evaluation', 'sample', 'saved'])

/** Whether a report only says how far a run is: such come often, and nothing but what is shown follows from them. */
export function canWait({ type }: RunReport): boolean {
  return patient.has(type)
}
