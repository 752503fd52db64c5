import type { Experiment } from '@mneme/training'
import type { Slot } from '../experiment/address'
import { shortTitle, taskTitle } from '../experiment/catalogue'
import type { Options, RunColumn } from '../experiment/options'
import { forget, type RunRecord, records } from '../experiment/records'
import { experimentId } from '../experiment/starting-point'
import type { Lane } from '../lane'
import { addressOfExperiments, options, setOptionsOf } from '../page'
import { stepOf } from './controls'
import { formatBytes, formatCount, formatLoss, formatShare, orUnknown } from './format'
import { Swatch } from './swatch'

/** One line, of a run on the page or of one that is remembered. */
interface Row {
  readonly id: string
  readonly slot: Slot | null
  readonly experiment: Experiment
  readonly values: Readonly<Record<Column['key'], number | string | null>>
}

interface Column {
  readonly key: RunColumn
  readonly title: string
  readonly format: (value: never) => string
}

const columns: readonly Column[] = [
  { key: 'paper', title: 'Run', format: String },
  { key: 'parameters', title: 'Parameters', format: formatCount },
  { key: 'stateBytes', title: 'State', format: formatBytes },
  { key: 'steps', title: 'Steps', format: formatCount },
  { key: 'seconds', title: 'Seconds', format: (value: number) => value.toFixed(1) },
  { key: 'speed', title: 'Tokens/s', format: (value: number) => formatCount(Number(value.toPrecision(3))) },
  { key: 'trainingLoss', title: 'Training loss', format: formatLoss },
  { key: 'lossNats', title: 'Validation loss', format: formatLoss },
  { key: 'tokenAcc', title: 'Accuracy', format: formatShare },
]

type Order = Options['runs']['order']

/** The runs on the page and those that have finished in this browser, side by side. */
export function RunsTable({ runs }: { readonly runs: readonly Lane[] }) {
  const { order } = options.value.runs
  const live = runs.map(liveRow)
  const shown = new Set(live.map(({ id }) => id))
  const remembered = records.value.filter(({ id }) => !shown.has(id)).map(rememberedRow)
  const rows = sorted([...live, ...remembered], order)
  return (
    <section class="runs-table" aria-label="Runs">
      <h2>Runs</h2>
      <div class="scrolls">
        <table>
          <caption class="hidden">Runs on the page, and finished ones that this browser remembers</caption>
          <thead>
            <tr>
              {columns.map(({ key, title }) => (
                <th key={key} scope="col" aria-sort={ariaSort(order, key)}>
                  <button type="button" onClick={() => setOptionsOf('runs', { order: nextOrder(order, key) })}>
                    {title}
                    <span aria-hidden="true">{arrows[ariaSort(order, key)]}</span>
                  </button>
                </th>
              ))}
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Line key={`${row.slot} ${row.id}`} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Line({ row: { id, slot, experiment, values } }: { readonly row: Row }) {
  const name = String(values.paper)
  return (
    <tr>
      {columns.map(({ key, format }) => {
        const value = values[key]
        if (key !== 'paper') return <td key={key}>{orUnknown(value as never, format)}</td>
        return (
          <th key={key} scope="row">
            {slot === null ? <span class="swatch" /> : <Swatch slot={slot} />}
            {name}
            <span class="quiet"> on {taskTitle(experiment.task)}</span>
          </th>
        )
      })}
      <td class="actions">
        {slot === null ? (
          <>
            <a href={addressOfExperiments([experiment])} aria-label={`Open ${name}`}>
              Open
            </a>
            <button type="button" aria-label={`Forget ${name}`} onClick={() => forget(id)}>
              Forget
            </button>
          </>
        ) : (
          <span class="quiet">run {slot.toUpperCase()}</span>
        )}
      </td>
    </tr>
  )
}

function liveRow(lane: Lane): Row {
  // the recent loss is read from the history, which is no signal
  lane.version.value
  const experiment = lane.experiment.value
  const { facts, evaluation } = lane
  return {
    id: experimentId(experiment),
    slot: lane.slot,
    experiment,
    values: {
      paper: shortTitle(experiment.paper),
      parameters: facts.value?.parameters ?? null,
      stateBytes: facts.value?.stateBytes ?? null,
      steps: stepOf(lane),
      seconds: lane.elapsedMs.value / 1000,
      speed: lane.speed.value,
      trainingLoss: lane.history.recentLoss(),
      lossNats: evaluation.value?.lossNats ?? null,
      tokenAcc: evaluation.value?.tokenAcc ?? null,
    },
  }
}

function rememberedRow({ id, experiment, facts, step, seconds, trainingLoss, evaluation }: RunRecord): Row {
  return {
    id,
    slot: null,
    experiment,
    values: {
      paper: shortTitle(experiment.paper),
      parameters: facts.parameters,
      stateBytes: facts.stateBytes,
      steps: step,
      seconds,
      speed: seconds > 0 ? (step * facts.tokensPerStep) / seconds : null,
      trainingLoss,
      lossNats: evaluation?.lossNats ?? null,
      tokenAcc: evaluation?.tokenAcc ?? null,
    },
  }
}

const arrows = { none: '', ascending: ' ↑', descending: ' ↓' } as const

function ariaSort(order: Order, key: RunColumn): keyof typeof arrows {
  if (order === key) return 'ascending'
  return order === `-${key}` ? 'descending' : 'none'
}

function nextOrder(order: Order, key: RunColumn): Order {
  const next: Readonly<Record<keyof typeof arrows, Order>> = { none: key, ascending: `-${key}`, descending: '' }
  return next[ariaSort(order, key)]
}

/** What is unknown stands last, whichever way. */
function sorted(rows: readonly Row[], order: Order): readonly Row[] {
  if (order === '') return rows
  const sign = order.startsWith('-') ? -1 : 1
  const key = order.replace('-', '') as RunColumn
  return [...rows].sort((one, other) => {
    const [a, b] = [one.values[key], other.values[key]]
    if (a === null || b === null) return Number(a === null) - Number(b === null)
    if (typeof a === 'string') return sign * a.localeCompare(String(b))
    return sign * (a - Number(b))
  })
}
