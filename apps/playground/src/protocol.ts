import type { Baseline, TaskSpec } from '@mneme/tasks'
import type { Evaluation, Experiment, StepReport } from '@mneme/training'
import type { SavedHistory } from './history'

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
  /** Waits after loading, as a run that was paused when the page was left. */
  readonly paused: boolean
}

export interface SampleCommand {
  readonly type: 'sample'
  readonly run: number
  readonly prompt: string
  readonly temperature: number
}

export type Command =
  | StartCommand
  | SampleCommand
  | { readonly type: 'pause' | 'resume' | 'step' | 'stop' | 'save'; readonly run: number }

/** What stays the same over a run. */
export interface RunFacts {
  readonly parameters: number
  /** State of one row after as many tokens as it is trained on. */
  readonly stateBytes: number
  readonly stateTokens: number
  readonly constantState: boolean
  readonly steps: number
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

export type Report =
  | { readonly type: 'stage'; readonly text: string }
  | { readonly type: 'backend'; readonly name: BackendName; readonly why: string }
  | {
      readonly type: 'begun'
      readonly facts: RunFacts
      readonly history: SavedHistory | null
      /** The step that it goes on from; null for a new run. */
      readonly resumedAt: number | null
    }
  | {
      readonly type: 'progress'
      readonly points: readonly (readonly [step: number, loss: number])[]
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
  | { readonly type: 'sample'; readonly sample: Sample; readonly asked: boolean }
  | { readonly type: 'phase'; readonly phase: Phase }
  | { readonly type: 'saved'; readonly step: number }
  /** Another tab keeps this run. */
  | { readonly type: 'unkept' }
  | { readonly type: 'trouble'; readonly trouble: Trouble }

export type RunReport = Report & { readonly run: number }
