import type { Baseline } from '@mneme/tasks'
import type { Evaluation, Experiment, StepReport } from '@mneme/training'
import { batch, type Signal, signal } from '@preact/signals'
import { atBeat } from './beat'
import type { Slot } from './experiment/address'
import { experimentId } from './experiment/starting-point'
import { History } from './history'
import type { LanePage } from './lane-page'
import {
  type Allowance,
  type AskedReport,
  type Command,
  canWait,
  isAnswer,
  type Payload,
  type Phase,
  type Question,
  type Reply,
  type Report,
  type RunFacts,
  type RunReport,
  type Sample,
  type Trouble,
} from './protocol'
import { type AskOptions, ended, Questions } from './questions'

/** What a worker says without being asked. */
type Told = Exclude<RunReport, AskedReport>

let runs = 0
let opened = 0

/** Time that a worker gets to save its run before it is ended. */
const farewellMs = 4000

/** One of the runs on the page: its worker, and what the worker has told so far. */
export class Lane {
  /** Stays when the lane's place changes. */
  readonly id = ++opened
  /** Whether it may not train until it is allowed more time. */
  readonly spent = signal(false)
  readonly phase = signal<Phase>('loading')
  readonly stage = signal('Loading')
  readonly experiment: Signal<Experiment>
  readonly facts = signal<RunFacts | null>(null)
  readonly backend = signal<Extract<Report, { readonly type: 'backend' }> | null>(null)
  readonly latest = signal<StepReport | null>(null)
  readonly baselines = signal<readonly Baseline[]>([])
  readonly charactersPerToken = signal<number | null>(null)
  readonly evaluation = signal<Evaluation | null>(null)
  readonly sample = signal<Sample | null>(null)
  readonly samples = signal<readonly Sample[]>([])
  readonly trouble = signal<Trouble | null>(null)
  readonly resumedAt = signal<number | null>(null)
  readonly savedStep = signal<number | null>(null)
  readonly kept = signal(true)
  readonly elapsedMs = signal(0)
  /** Tokens a second, over the last reports. */
  readonly speed = signal<number | null>(null)
  /** Changes whenever the history does. */
  readonly version = signal(0)
  history = new History()
  private run = 0
  private worker: Worker | null = null
  private readonly heard: Told[] = []
  private readonly questions = new Questions((command) => this.tell({ ...command, run: this.run }))

  private readonly place: Signal<Slot>

  constructor(
    slot: Slot,
    first: Experiment,
    private readonly page: LanePage,
  ) {
    this.place = signal(slot)
    this.experiment = signal(first)
  }

  get slot(): Slot {
    return this.place.value
  }

  moveTo(slot: Slot): void {
    this.place.value = slot
  }

  /** Trains an experiment, from where an earlier visit left it unless it is to be fresh. */
  start(experiment = this.experiment.value, { fresh = false } = {}): void {
    this.retire(fresh && experimentId(experiment) === experimentId(this.experiment.value))
    this.run = ++runs
    this.clear(experiment)
    const worker = new Worker(new URL('./worker/main.ts', import.meta.url), {
      type: 'module',
      name: `run ${this.id}`,
    })
    worker.addEventListener('message', ({ data }: MessageEvent<RunReport>) => this.hear(data))
    worker.addEventListener('error', (event) => this.crashed(event))
    this.worker = worker
    const { page, run } = this
    const [saveKey, allowance, backend] = [page.saveKey(this, experiment), page.allowance(), page.backend.value]
    this.tell({ type: 'start', run, experiment, backend, saveKey, fresh, allowance })
  }

  /** Lets it train up to a time. */
  allow(allowance: Allowance): void {
    this.spent.value = false
    this.tell({ type: 'allow', run: this.run, allowance })
  }

  private clear(experiment: Experiment): void {
    batch(() => {
      this.experiment.value = experiment
      this.phase.value = 'loading'
      this.stage.value = 'Loading'
      for (const part of [this.facts, this.latest, this.speed, this.evaluation, this.sample, this.trouble]) {
        part.value = null
      }
      this.resumedAt.value = null
      this.savedStep.value = null
      this.kept.value = true
      this.spent.value = false
      this.charactersPerToken.value = null
      this.baselines.value = []
      this.samples.value = []
      this.elapsedMs.value = 0
      this.history = new History()
      this.version.value++
    })
  }

  pause(): void {
    this.tell({ type: 'pause', run: this.run })
  }

  /** After a stop or a failure, a new worker goes on from the last checkpoint. */
  resume(): void {
    if (this.phase.value === 'stopped' || this.phase.value === 'failed') this.start()
    else this.tell({ type: 'resume', run: this.run })
  }

  step(): void {
    this.tell({ type: 'step', run: this.run })
  }

  stop(): void {
    this.tell({ type: 'stop', run: this.run })
  }

  save(): void {
    this.tell({ type: 'save', run: this.run })
  }

  dismiss(): void {
    this.trouble.value = null
  }

  /**
   * Asks the worker about its run: `worker/answers` has the questions. Training waits while it answers.
   *
   * @throws Error in words for the page: the question was refused, or the run has ended
   */
  ask<K extends Question>(question: K, payload: Payload<K>, options: AskOptions<K> = {}): Promise<Reply<K>> {
    const { value: phase } = this.phase
    if (this.worker === null || phase === 'stopped' || phase === 'failed') return Promise.reject(new Error(ended))
    return this.questions.ask(question, payload, options)
  }

  dispose(): void {
    this.retire(false)
  }

  private tell(command: Command): void {
    this.worker?.postMessage(command)
  }

  /** Ends the worker; unless what it has done is to be forgotten, it may save first. */
  private retire(forget: boolean): void {
    const { worker } = this
    if (worker === null) return
    this.questions.end()
    this.stop()
    this.worker = null
    this.run = 0
    if (forget) {
      worker.terminate()
      return
    }
    worker.addEventListener('message', ({ data }: MessageEvent<RunReport>) => {
      if (data.type === 'phase' && data.phase === 'stopped') worker.terminate()
    })
    setTimeout(() => worker.terminate(), farewellMs)
  }

  private crashed(event: ErrorEvent): void {
    this.questions.end()
    batch(() => {
      this.phase.value = 'failed'
      this.trouble.value = {
        fatal: true,
        message: `The run's worker ended: ${event.message || 'its code could not be loaded'}.`,
        remedy: 'Continue from the last checkpoint, or reload the page.',
      }
    })
  }

  /** What only says how far a run is waits for the next beat of the page; all else is taken at once, in its order. */
  private hear(report: RunReport): void {
    if (report.run !== this.run) return
    if (isAnswer(report)) {
      this.questions.hear(report)
      return
    }
    this.heard.push(report)
    if (canWait(report)) atBeat(this.takeHeard)
    else batch(this.takeHeard)
  }

  private readonly takeHeard = (): void => {
    for (const report of this.heard.splice(0)) if (report.run === this.run) this.take(report)
  }

  private take(report: Told): void {
    switch (report.type) {
      case 'stage':
        this.stage.value = report.text
        return
      case 'backend':
        this.backend.value = report
        return
      case 'begun':
        this.facts.value = report.facts
        this.resumedAt.value = report.resumedAt
        this.savedStep.value = report.resumedAt
        if (report.history !== null) this.takeHistory(History.restore(report.history, report.resumedAt ?? 0))
        return
      case 'progress':
        for (const [step, loss, elapsedMs] of report.points) this.history.addLoss(step, loss, elapsedMs)
        this.latest.value = report.latest
        this.speed.value = steadied(this.speed.value, report.latest.tokensPerSecond)
        this.elapsedMs.value = report.elapsedMs
        this.version.value++
        return
      case 'evaluation':
        this.history.addEvaluation(report.evaluation)
        this.evaluation.value = report.evaluation
        this.version.value++
        return
      case 'baselines':
        this.baselines.value = report.baselines
        this.charactersPerToken.value = report.charactersPerToken
        return
      case 'sample':
        this.takeSample(report.sample)
        return
      case 'saved':
        this.savedStep.value = report.step
        return
      case 'unkept':
        this.kept.value = false
        return
      case 'trouble':
        this.trouble.value = report.trouble
        return
      case 'spent':
        this.elapsedMs.value = report.elapsedMs
        this.spent.value = true
        return
      case 'phase':
        this.phase.value = report.phase
        if (report.phase === 'finished') this.page.onFinished(this)
        // what there was to save is saved, and another worker may need the run's lock
        if (report.phase === 'stopped' || report.phase === 'failed') {
          this.questions.end()
          this.worker?.terminate()
        }
    }
  }

  private takeHistory(history: History): void {
    this.history = history
    this.elapsedMs.value = history.elapsedMs
    this.evaluation.value = history.evaluations.at(-1) ?? null
    this.samples.value = [...history.samples]
    this.sample.value = history.samples.at(-1) ?? null
    this.version.value++
  }

  private takeSample(sample: Sample): void {
    this.history.addSample(sample)
    this.sample.value = sample
    this.samples.value = [...this.history.samples]
  }
}

function steadied(before: number | null, now: number): number {
  return before === null ? now : before + (now - before) / 8
}
