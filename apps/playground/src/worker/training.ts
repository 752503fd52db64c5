import { nextTurn } from '@mneme/core-tensor'
import { type Evaluation, NonFiniteError, Run, type StepReport, type TrainEvent, train } from '@mneme/training'
import { History } from '../history'
import {
  type Allowance,
  type AskCommand,
  type BackendName,
  type Phase,
  type Report,
  type StartCommand,
  type Trouble,
  unbounded,
} from '../protocol'
import { Asked } from './asked'
import { messageOf, startBackend } from './backend'
import { factsOf } from './facts'
import { Sampler } from './sampler'
import { holdRun, Saves } from './saves'
import { resolved, taskOf } from './setup'
import { fatalTrouble, savingTrouble } from './troubles'

const sendEveryMs = 100
const saveEveryMs = 10_000
/** Samples come often at first, when the model changes most. */
const sampleAfterMs = [0, 1000, 2000, 3000, 5000]

type Send = (report: Report) => void

/** One run from start to end: trains in turns, so that commands are heard between two steps. */
export class Training {
  private phase: Phase = 'loading'
  private history = new History()
  private points: [step: number, loss: number, elapsedMs: number][] = []
  private latest: StepReport | null = null
  private readonly last = { sentMs: 0, savedMs: 0, savedStep: -1, sampledMs: 0, samples: 0 }
  private saves: Saves | null = null
  private wake: (() => void) | null = null
  private wantedSteps = 0
  private described = false
  private inTurn = false
  private allowance: Allowance = unbounded
  /** Whether the page knows that the allowance is used up. */
  private saidSpent = false
  /** Steps taken in this visit. */
  stepsHere = 0
  private readonly wishes: (() => Promise<void>)[] = []

  private constructor(
    private readonly run: Run,
    private readonly sampler: Sampler,
    private readonly asked: Asked,
    private readonly send: Send,
    readonly backend: BackendName,
  ) {}

  /** @param refusal why the graphics card is not to be used, if it has failed before */
  static async start(command: StartCommand, send: Send, refusal?: string): Promise<Training> {
    send({ type: 'stage', text: 'Starting the backend; a graphics card is tested before its first run' })
    const lost = (error: Error) => {
      send({ type: 'trouble', trouble: fatalTrouble(error) })
      send({ type: 'phase', phase: 'failed' })
    }
    const [backend, setup] = await Promise.all([
      startBackend(command.backend, lost, refusal),
      resolved(command.experiment),
    ])
    const { name, why, leftOut } = backend
    send({ type: 'backend', name, why, leftOut })
    send({ type: 'stage', text: 'Building the model' })
    const run = await Run.create(setup)
    const vocabulary = await taskOf(setup).vocabulary(setup.taskConfig)
    const training = new Training(
      run,
      new Sampler(run.model, setup, vocabulary),
      new Asked({ run, vocabulary }, send),
      send,
      backend.name,
    )
    training.allowance = command.allowance
    const resumedAt = await training.openSaves(command)
    const facts = factsOf(run, vocabulary.encode !== undefined)
    send({ type: 'begun', facts, resumedAt, history: resumedAt === null ? null : training.history.save() })
    training.setPhase(run.finished ? 'finished' : 'running')
    return training
  }

  /** Takes up what an earlier visit left. Trouble with it never stands in the way of training. */
  private async openSaves({ saveKey, fresh }: StartCommand): Promise<number | null> {
    try {
      const saves = await Saves.open(saveKey)
      holdRun(saveKey).then((held) => {
        if (held) this.saves = saves
        else {
          this.send({ type: 'unkept' })
          this.send({ type: 'trouble', trouble: openElsewhere })
        }
      })
      if (fresh) await saves.forget()
      const kept = await saves.load()
      if (kept === null) return null
      this.run.restore(kept.snapshot)
      if (kept.history !== null) this.history = History.restore(kept.history, this.run.step)
      this.last.savedStep = this.run.step
      return this.run.step
    } catch (error) {
      const message = `The earlier run could not be taken up: ${messageOf(error)}`
      this.send({ type: 'trouble', trouble: { fatal: false, message, remedy: 'Training starts from the first step.' } })
      return null
    }
  }

  /** Until the run is stopped. @throws whatever ends it before */
  async toTheEnd(): Promise<void> {
    const events = train(this.run)
    this.last.savedMs = performance.now()
    while (this.phase !== 'stopped') {
      for (const wish of this.wishes.splice(0)) await wish()
      if (this.phase === 'running' && this.history.elapsedMs >= this.allowance.budgetMs) await this.finish(true)
      else if ((this.phase === 'running' && !this.spent) || this.wantedSteps > 0) {
        await this.turn(events)
        await this.keepUp()
        await nextTurn()
      } else await this.rest()
    }
    await this.save()
    this.run.dispose()
  }

  private get spent(): boolean {
    return this.history.elapsedMs >= this.allowance.untilMs
  }

  private async rest(): Promise<void> {
    this.describeSoon()
    if (this.wishes.length > 0) return
    if (this.phase === 'running' && !this.saidSpent) {
      this.saidSpent = true
      this.flush()
      this.send({ type: 'spent', elapsedMs: this.history.elapsedMs })
    }
    await new Promise<void>((resolve) => {
      this.wake = resolve
    })
  }

  /** One turn; what is said of the phase meanwhile is told after it, when no step is under way. */
  private async turn(events: AsyncGenerator<TrainEvent>): Promise<void> {
    const before = this.phase
    this.inTurn = true
    try {
      await this.advance(events)
    } finally {
      this.inTurn = false
    }
    if (this.phase !== before) this.tellPhase()
  }

  private async advance(events: AsyncGenerator<TrainEvent>): Promise<void> {
    const started = performance.now()
    const { value, done } = await this.guarded(events)
    if (done === true || value === undefined) {
      this.wantedSteps = 0
      await this.finish(false)
    } else if (value.type === 'step') {
      const elapsedMs = this.history.elapsedMs + performance.now() - started
      this.wantedSteps = Math.max(0, this.wantedSteps - 1)
      this.latest = value
      this.points.push([value.step, value.loss, elapsedMs])
      this.history.addLoss(value.step, value.loss, elapsedMs)
      this.stepsHere++
      if (this.stepsHere === 2) this.describeSoon()
      if (this.phase !== 'running') this.flush()
    } else if (value.type === 'evaluation') this.addEvaluation(value)
  }

  /** @param early before its last step, so that the last evaluation is still to be made */
  private async finish(early: boolean): Promise<void> {
    if (early && this.history.evaluations.at(-1)?.step !== this.run.step) this.addEvaluation(await this.run.evaluate())
    await this.showSample(false)
    await this.save()
    this.setPhase('finished')
  }

  /** After a step without finite numbers the parameters are still good: they are kept before the run ends. */
  private async guarded(events: AsyncGenerator<TrainEvent>): Promise<IteratorResult<TrainEvent, unknown>> {
    try {
      return await events.next()
    } catch (error) {
      this.flush()
      if (error instanceof NonFiniteError) await this.save()
      throw error
    }
  }

  private addEvaluation(evaluation: Evaluation): void {
    this.history.addEvaluation(evaluation)
    this.flush()
    this.send({ type: 'evaluation', evaluation })
  }

  /** What is due by the clock: reports, samples, checkpoints. */
  private async keepUp(): Promise<void> {
    const now = performance.now()
    if (now - this.last.sentMs > sendEveryMs) this.flush()
    const wait = sampleAfterMs[this.last.samples] ?? 8000
    if (this.phase === 'running' && now - this.last.sampledMs > wait) await this.showSample(true)
    if (now - this.last.savedMs > saveEveryMs) await this.save()
  }

  private flush(): void {
    if (this.points.length === 0 || this.latest === null) return
    const { latest } = this
    this.send({ type: 'progress', points: this.points, latest, elapsedMs: this.history.elapsedMs })
    this.points = []
    this.last.sentMs = performance.now()
  }

  private async showSample(counted: boolean): Promise<void> {
    const sample = await this.sampler.sample(this.run.step)
    this.history.addSample(sample)
    this.send({ type: 'sample', sample })
    this.last.sampledMs = performance.now()
    if (counted) this.last.samples++
  }

  /** Baselines take a while to count, so the first steps are shown before. */
  private describeSoon(): void {
    if (this.described) return
    this.described = true
    this.wishes.push(() => this.describe())
  }

  private async describe(): Promise<void> {
    const { taskConfig } = this.run.setup
    const task = taskOf(this.run.setup)
    const baselines = await task.baselines(taskConfig)
    const charactersPerToken = (await task.charactersPerToken?.(taskConfig, 'validation')) ?? null
    this.send({ type: 'baselines', baselines, charactersPerToken })
    this.last.sampledMs = performance.now()
  }

  async save(): Promise<void> {
    this.last.savedMs = performance.now()
    if (this.saves === null || this.run.step === this.last.savedStep || this.run.step === 0) return
    try {
      await this.saves.save(await this.run.snapshot(), this.history.save())
      this.last.savedStep = this.run.step
      this.flush()
      this.send({ type: 'saved', step: this.run.step })
    } catch (error) {
      this.send({ type: 'trouble', trouble: savingTrouble(error) })
    }
  }

  control(wish: 'pause' | 'resume' | 'step' | 'stop' | 'save'): void {
    const over = this.phase === 'finished' || this.phase === 'stopped'
    if (wish === 'stop') this.setPhase('stopped')
    else if (wish === 'save') this.wishes.push(() => this.save())
    else if (wish === 'resume' && !over) this.setPhase('running')
    else if (!over) {
      this.setPhase('paused')
      if (wish === 'step') this.wantedSteps++
      else this.wishes.push(() => this.save())
    }
    this.wake?.()
  }

  allow(allowance: Allowance): void {
    const finishedByTime = this.phase === 'finished' && !this.run.finished
    this.allowance = allowance
    this.saidSpent = false
    if (finishedByTime && this.history.elapsedMs < allowance.budgetMs) this.setPhase('running')
    this.wake?.()
  }

  ask(command: AskCommand): void {
    this.wishes.push(this.asked.hear(command))
    this.wake?.()
  }

  cancel(id: number): void {
    this.asked.cancel(id)
  }

  private setPhase(phase: Phase): void {
    this.phase = phase
    if (!this.inTurn) this.tellPhase()
  }

  private tellPhase(): void {
    this.flush()
    // the page hears of the end when everything is saved
    if (this.phase !== 'stopped') this.send({ type: 'phase', phase: this.phase })
  }
}

const openElsewhere: Trouble = {
  fatal: false,
  message: 'This experiment is open in another tab too.',
  remedy: 'That tab keeps its progress; this one does not. Close the other and reload to keep this one.',
}
