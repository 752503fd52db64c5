import type { Experiment } from '@mneme/training'
import { batch, signal } from '@preact/signals'
import { checkExperiment, defaultSetup, readAddress, type Setup, writeAddress } from './experiment/address'
import { experimentId, nextPaper, quickExperiment } from './experiment/starting-point'
import { Lane } from './lane'
import type { BackendChoice } from './protocol'
import { findView, type ViewPlace } from './views'

/** The runs on the page, one or two. */
export const lanes = signal<readonly Lane[]>([])
/** An experiment that is being put together beside the first, and not started. */
export const sketch = signal<Experiment | null>(null)
export const addressProblem = signal<string | null>(null)
const backend = signal<BackendChoice>('auto')
export const view = signal<ViewPlace>(defaultSetup().view)
/** What a page without runs keeps of the address, until a view asks for them. */
let waiting: Setup | null = null

/** Starts what the address says. What already runs and is still asked for goes on. */
export function openAddress(): void {
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
    if (lanes.value.length > 0 || findView(setup.view.key)?.needsRuns === true) openRuns(setup)
    else waiting = setup
  })
  show('replace')
}

function openRuns(setup: Setup): void {
  waiting = null
  const otherBackend = setup.backend !== backend.value
  backend.value = setup.backend
  const before = lanes.value
  lanes.value = setup.experiments.map((experiment, i) => {
    const lane = before[i]
    if (lane === undefined) return opened(i, experiment)
    if (otherBackend || experimentId(lane.experiment.value) !== experimentId(experiment)) lane.start(experiment)
    return lane
  })
  for (const lane of before.slice(setup.experiments.length)) lane.dispose()
}

/** Leaves a wrong address behind. */
export function openDefault(): void {
  history.pushState(null, '', `#${writeAddress(defaultSetup())}`)
  openAddress()
}

function opened(index: number, experiment: Experiment): Lane {
  const lane = new Lane(index === 0 ? 'a' : 'b', experiment, backend)
  lane.start()
  return lane
}

function current(): Setup {
  const [first, second] = lanes.value.map(({ experiment }) => experiment.value)
  if (first === undefined) return waiting ?? defaultSetup()
  return { experiments: second ? [first, second] : [first], backend: backend.value, view: view.value }
}

/** The address of another place, with the same experiments. */
export function addressOf(place: ViewPlace): string {
  return `#${writeAddress({ ...current(), view: place })}`
}

/** Makes the address say what runs and what is shown, so that copying it copies the experiment. */
function show(how: 'push' | 'replace'): void {
  const address = addressOf(view.value)
  if (address === location.hash) return
  if (how === 'push') history.pushState(null, '', address)
  else history.replaceState(null, '', address)
}

/** @throws RangeError or TypeError for a setting that does not fit, before anything has changed */
export function startIn(lane: Lane, experiment: Experiment): void {
  lane.start(checkExperiment(experiment))
  show('push')
}

/** Begins to put a second experiment together: the same, but with the next paper. */
export function sketchSecond(): void {
  const first = lanes.value[0]?.experiment.value
  if (first === undefined) return
  const other = quickExperiment(nextPaper(first.paper), first.task, first.seed)
  sketch.value = { ...other, taskConfig: first.taskConfig, train: { ...first.train, ...rateOf(other) } }
}

function rateOf({ train: { lr } }: Experiment): Experiment['train'] {
  return lr === undefined ? {} : { lr }
}

export function dropSketch(): void {
  sketch.value = null
}

/** @throws RangeError or TypeError for a setting that does not fit */
export function startSecond(experiment: Experiment): void {
  checkExperiment(experiment)
  batch(() => {
    sketch.value = null
    lanes.value = [...lanes.value.slice(0, 1), opened(1, experiment)]
  })
  show('push')
}

export function removeSecond(): void {
  const [first, second] = lanes.value
  if (first === undefined) return
  lanes.value = [first]
  second?.dispose()
  show('push')
}

/** A page that is hidden may never be shown again. */
export function keepWhenHidden(): void {
  addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') for (const lane of lanes.value) lane.save()
  })
}
