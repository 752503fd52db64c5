import type { Signal } from '@preact/signals'
import { findPaper, findTask } from '../experiment/catalogue'
import type { Lane } from '../lane'
import { formatCount, formatLoss, orUnknown } from './format'
import type { Reading } from './plot'

/** Names the curves, with their values under the cursor, or else the latest. */
export function Legend({
  lanes,
  reading,
}: {
  readonly lanes: readonly Lane[]
  readonly reading: Signal<Reading | null>
}) {
  const read = reading.value
  return (
    <div class="legend">
      <table>
        <caption class="hidden">Curves of the chart and their values</caption>
        <thead>
          <tr>
            <th scope="col">{read === null ? 'latest' : `at step ${formatCount(read.step)}`}</th>
            <th scope="col">training</th>
            <th scope="col">validation</th>
          </tr>
        </thead>
        <tbody>
          {lanes.map((lane, i) => {
            // read so that the row follows the run
            lane.version.value
            const { paper, task } = lane.experiment.value
            const values = read?.values[i]
            return (
              <tr key={lane.slot}>
                <th scope="row">
                  <span class={`swatch run-${lane.slot}`} aria-hidden="true" />
                  {findPaper(paper)?.title ?? paper}
                  <span class="quiet"> on {findTask(task)?.title ?? task}</span>
                </th>
                <td>{orUnknown(values ? values.training : lane.history.recentLoss(), formatLoss)}</td>
                <td>{orUnknown(values ? values.validation : lane.evaluation.value?.lossNats, formatLoss)}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

/** How to read the chart. */
export function ChartNote({ lanes }: { readonly lanes: readonly Lane[] }) {
  return <p class="quiet note">{noteOn(lanes)}</p>
}

function noteOn(lanes: readonly Lane[]): string {
  const keys = new Set(lanes.map(({ experiment }) => experiment.value.task))
  if (keys.size > 1) return 'The runs have different tasks: their losses are not to be compared.'
  const names =
    lanes.length > 1 ? 'filled dots: validation of the first run; open dots: of the second' : 'dots: validation'
  return `Thin line: each step; thick line: smoothed; ${names}; dashed: what a simple rule reaches.`
}
