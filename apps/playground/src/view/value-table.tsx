import { useState } from 'preact/hooks'
import type { Lane } from '../lane'
import { formatCount, formatLoss, formatShare, orUnknown } from './format'
import { spansOf } from './measures'

const mostRows = 24

/** The chart's values in words, for those who cannot see it or want the numbers. */
export function ValueTable({ lanes }: { readonly lanes: readonly Lane[] }) {
  const [open, setOpen] = useState(false)
  return (
    <details class="values" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The values as a table</summary>
      {open && lanes.map((lane) => <RunValues key={lane.id} lane={lane} />)}
    </details>
  )
}

function RunValues({ lane }: { readonly lane: Lane }) {
  // evaluations come rarely enough for a reader to follow
  const evaluations = lane.evaluation.value === null ? [] : lane.history.evaluations
  const stride = Math.max(1, Math.ceil(evaluations.length / mostRows))
  const rows = evaluations.filter((_, i) => (evaluations.length - 1 - i) % stride === 0)
  return (
    <div class="run-values">
      <table>
        <caption>Run {lane.slot.toUpperCase()}</caption>
        <thead>
          <tr>
            <th scope="col">step</th>
            <th scope="col">training loss</th>
            <th scope="col">validation loss</th>
            <th scope="col">accuracy</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ step, lossNats, tokenAcc }) => (
            <tr key={step}>
              <th scope="row">{formatCount(step)}</th>
              <td>{orUnknown(lossBefore(lane, step), formatLoss)}</td>
              <td>{formatLoss(lossNats)}</td>
              <td>{(100 * tokenAcc).toFixed(1)} %</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Spans lane={lane} />
      <table>
        <caption>Baselines of its task</caption>
        <thead>
          <tr>
            <th scope="col">rule</th>
            <th scope="col">loss</th>
            <th scope="col">accuracy</th>
          </tr>
        </thead>
        <tbody>
          {lane.baselines.value.map(({ name, lossNats, accuracy }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{orUnknown(lossNats, formatLoss)}</td>
              <td>{orUnknown(accuracy, (share) => `${(100 * share).toFixed(1)} %`)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** The last evaluation, told apart by distance or place. */
function Spans({ lane }: { readonly lane: Lane }) {
  const { value: evaluation } = lane.evaluation
  if (evaluation === null) return null
  return (
    <table>
      <caption>
        Run {lane.slot.toUpperCase()} by {evaluation.by.of}
      </caption>
      <thead>
        <tr>
          <th scope="col">tokens</th>
          <th scope="col">validation loss</th>
          <th scope="col">accuracy</th>
        </tr>
      </thead>
      <tbody>
        {spansOf(evaluation).map(({ name, loss, share }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{formatLoss(loss)}</td>
            <td>{formatShare(share)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** Mean of the losses just before a step. */
function lossBefore({ history }: Lane, step: number): number | null {
  const end = history.steps.findLastIndex((s) => s <= step) + 1
  const last = history.losses.slice(Math.max(0, end - 20), end)
  return last.length === 0 ? null : last.reduce((total, loss) => total + loss, 0) / last.length
}
