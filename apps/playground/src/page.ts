import type { Experiment } from '@mneme/training'
import { batch, computed, effect, signal } from '@preact/signals'
import { checkExperiment, defaultSetup, readAddress, type Setup, slots, writeAddress } from './experiment/address'
import { type OptionGroup, type Options, optionDefaults } from './experiment/options'
import { remember } from './experiment/records'
import { experimentId, nextPaper, quickExperiment } from './experiment/starting-point'
import { Lane } from './lane'
import type { LanePage } from './lane-page'
import type { BackendChoice } from './protocol'
import { throttled } from './throttled'
import { firstAllowance, takeTurns } from './turns'
import { findView, type ViewPlace } from './views'

/** The runs on the page, one to four. */
export const lanes = signal<readonly Lane[]>([])
/** An experiment that is being put together beside the others, and not started. */
export const sketch = signal<Experiment | null>(null)
export const addressProblem = signal<string | null>(null)
const backend = signal<BackendChoice>('auto')
export const view = signal<ViewPlace>(defaultSetup().view)
export const options = signal<Options>(optionDefaults)
/** Time of training that each run gets; null where it is not shared out. */
const budgetMs = computed(() => (options.value.equal === 'time' ? 1000 * options.value.seconds : null))
/** Browsers refuse addresses that change more than some hundred times in half a minute, as under a slider. */
const addressEveryMs = 350
/** What a page without runs keeps of the address, until a view asks for them. */
let waiting: Setup | null = null

const lanePage: LanePage = {
  backend,
  saveKey(lane, experiment) {
    const id = experimentId(experiment)
    const before = lanes.value.slice(0, lanes.value.includes(lane) ? lanes.value.indexOf(lane) : undefined)
    const same = before.filter((other) => experimentId(other.experiment.value) === id).length
    return same === 0 ? id : `${id}-${same + 1}`
  },
  allowance: () => firstAllowance(budgetMs.value),
  onFinished(lane) {
    const { facts, experiment } = lane
    if (facts.value === null) return
    remember({
      id: experimentId(experiment.value),
      experiment: experiment.value,
      facts: facts.value,
      backend: lane.backend.value?.name ?? null,
      step: lane.latest.value?.step ?? lane.resumedAt.value ?? 0,
      seconds: lane.elapsedMs.value / 1000,
      trainingLoss: lane.history.recentLoss(),
      evaluation: lane.evaluation.value,
    })
  },
}

/** Starts what the address says. What already runs and is still asked for goes on. */
export function openAddress(): void {
  replaceSoon.cancel()
  let setup: Setup
  try {
    setup = readAddress(location.hash)
  } catch (error) {
    addressProblem.value = (error as Error).message
    return
  }
  batch(() => {
    addressProblem.value = null
    view.value = setup.view
    options.value = setup.options
    if (lanes.value.length > 0 || findView(setup.view.key)?.needsRuns === true) openRuns(setup)
    else waiting = setup
  })
  replaceAddress()
}

function openRuns(setup: Setup): void {
  waiting = null
  const otherBackend = setup.backend !== backend.value
  backend.value = setup.backend
  const before = lanes.value
  for (const lane of before.slice(setup.experiments.length)) lane.dispose()
  lanes.value = before.slice(0, setup.experiments.length)
  for (const [i, experiment] of setup.experiments.entries()) {
    const lane = before[i]
    if (lane === undefined) open(experiment)
    else if (otherBackend || experimentId(lane.experiment.value) !== experimentId(experiment)) lane.start(experiment)
  }
}

/** A run in the next place. */
function open(experiment: Experiment): void {
  const lane = new Lane(slots[lanes.value.length] ?? 'd', experiment, lanePage)
  lanes.value = [...lanes.value, lane]
  lane.start()
}

/** Leaves a wrong address behind. */
export function openDefault(): void {
  openSetup(defaultSetup())
}

/** Goes to other experiments, so that the way back is the browser's. */
function openSetup(setup: Setup): void {
  sketch.value = null
  history.pushState(null, '', `#${writeAddress(setup)}`)
  openAddress()
}

/** What runs and what is shown. */
function currentSetup(): Setup {
  const [first, ...others] = lanes.value.map(({ experiment }) => experiment.value)
  if (first === undefined) return { ...(waiting ?? defaultSetup()), options: options.value }
  return { experiments: [first, ...others], backend: backend.value, view: view.value, options: options.value }
}

/** The address of another place, with the same experiments. */
export function addressOf(place: ViewPlace): string {
  return `#${writeAddress({ ...currentSetup(), view: place })}`
}

/** The address that opens other experiments for training, compared as they ask for. */
export function addressOfExperiments(experiments: readonly Experiment[], compared: Partial<Options> = {}): string {
  const [first, ...others] = experiments
  if (first === undefined) return `#${writeAddress(defaultSetup())}`
  const changed = { experiments: [first, ...others] as const, options: { ...optionDefaults, ...compared } }
  return `#${writeAddress({ ...defaultSetup(), ...changed, backend: backend.value })}`
}

/** Makes the address say what runs and what is shown, so that copying it copies the experiment. */
function replaceAddress(): void {
  replaceSoon.cancel()
  const address = addressOf(view.value)
  if (address !== location.hash) history.replaceState(null, '', address)
}

const replaceSoon = throttled(replaceAddress, addressEveryMs)

/** The same, with a way back to what was shown before. */
function pushAddress(): void {
  replaceSoon.cancel()
  const address = addressOf(view.value)
  if (address !== location.hash) history.pushState(null, '', address)
}

/** The whole address as it is now. */
export function currentAddress(): string {
  replaceAddress()
  return location.href
}

/** Changes how runs are compared and looked at; what runs goes on. */
export function setOptions(changes: Partial<Options>): void {
  options.value = { ...options.value, ...changes }
  replaceSoon()
}

/** Changes some options of a group. */
export function setOptionsOf<G extends OptionGroup>(group: G, changes: Partial<Options[G]>): void {
  setOptions({ [group]: { ...options.value[group], ...changes } })
}

/** @throws RangeError or TypeError for a setting that does not fit, before anything has changed */
export function startIn(lane: Lane, experiment: Experiment): void {
  lane.start(checkExperiment(experiment))
  pushAddress()
}

/** Begins to put another experiment together: the same as the last, but with the next paper. */
export function sketchAnother(): void {
  const last = lanes.value.at(-1)?.experiment.value
  if (last === undefined) return
  const { lr, ...train } = last.train
  sketch.value = { ...quickExperiment(nextPaper(last.paper), last.task, last.seed), taskConfig: last.taskConfig, train }
}

export function dropSketch(): void {
  sketch.value = null
}

/** @throws RangeError or TypeError for a setting that does not fit */
export function startSketch(experiment: Experiment): void {
  checkExperiment(experiment)
  batch(() => {
    sketch.value = null
    open(experiment)
  })
  pushAddress()
}

/** Those after it move up. */
export function remove(lane: Lane): void {
  const others = lanes.value.filter((other) => other !== lane)
  if (others.length === 0) return
  lane.dispose()
  batch(() => {
    lanes.value = others
    for (const [i, other] of others.entries()) other.moveTo(slots[i] ?? 'd')
  })
  pushAddress()
}

export function startAll(): void {
  for (const lane of lanes.value) if (lane.phase.value !== 'finished') lane.resume()
}

export function pauseAll(): void {
  for (const lane of lanes.value) lane.pause()
}

/** Shares out the time while the runs are to have equal time. */
export function keepTurns(): void {
  let stop: (() => void) | null = null
  effect(() => {
    const budget = budgetMs.value
    stop?.()
    stop = budget === null ? null : takeTurns(lanes, budget)
  })
}

/** A page that is hidden may never be shown again. */
export function keepWhenHidden(): void {
  addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') for (const lane of lanes.value) lane.save()
  })
}
