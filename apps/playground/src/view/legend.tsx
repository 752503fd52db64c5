import type { Signal } from '@preact/signals'
import { shortTitle, taskTitle } from '../experiment/catalogue'
import type { Axis } from '../experiment/options'
import type { Lane } from '../lane'
import { formatCount, orUnknown } from './format'
import type { Measure } from './measures'
import type { Reading } from './plot'
import { Swatch } from './swatch'

interface Props {
  readonly lanes: readonly Lane[]
  readonly measure: Measure
  readonly axis: Axis
  readonly reading: Signal<Reading | null>
}

/** Names the curves, with their values under the cursor, or else the latest. */
export function Legend({ lanes, measure, axis, reading }: Props) {
  const read = reading.value
  const columns = measure.columns(lanes)
  const format = measure.format(lanes)
  return (
    <div class="legend">
      <table>
        <caption class="hidden">Curves of the chart and their values</caption>
        <thead>
          <tr>
            <th scope="col">{read === null ? 'latest' : whereRead(measure, lanes, axis, read.x)}</th>
            {columns.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {lanes.map((lane, i) => {
            // read so that the row follows the run
            lane.version.value
            const { paper, task } = lane.experiment.value
            const latest = measure.latest(lane)
            return (
              <tr key={lane.id}>
                <th scope="row">
                  <Swatch slot={lane.slot} />
                  {shortTitle(paper)}
                  <span class="quiet"> on {taskTitle(task)}</span>
                </th>
                {columns.map(({ name, series }, column) => (
                  <td key={name}>{orUnknown(read ? read.values[i]?.[series] : latest[column], format)}</td>
                ))}
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

function whereRead(measure: Measure, lanes: readonly Lane[], axis: Axis, x: number): string {
  if (measure.logX) return `at about ${formatCount(x)} tokens`
  if (axis === 'seconds') return `at ${x.toFixed(1)} s`
  return axis === 'tokens' ? `at ${formatCount(x)} tokens` : `at ${measure.xLabel(lanes, axis)} ${formatCount(x)}`
}

/** How to read the chart. */
export function ChartNote({ lanes, measure }: { readonly lanes: readonly Lane[]; readonly measure: Measure }) {
  const keys = new Set(lanes.map(({ experiment }) => experiment.value.task))
  const mixed = keys.size > 1 ? 'The runs have different tasks: their values are not to be compared. ' : ''
  return <p class="quiet note">{mixed + notes[measure.title]}</p>
}

const notes: Readonly<Record<string, string>> = {
  Loss: 'Thin line: each step; thick line: smoothed; dots: validation; dashed grey: what a simple rule reaches.',
  Accuracy: 'Of validation, at every evaluation; dashed grey: what a simple rule reaches.',
  'By distance':
    'The last evaluation, told apart by how many tokens before the answer was shown; by place in the row where the task has no such distance.',
}
