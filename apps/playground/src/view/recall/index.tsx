import { shortTitle, taskTitle } from '../../experiment/catalogue'
import { sweeps } from '../../experiment/presets'
import { type RunRecord, records } from '../../experiment/records'
import { experimentId } from '../../experiment/starting-point'
import { addressOfExperiments, lanes, options, setOptions } from '../../page'
import { Controls } from '../controls'
import { formatBytes, formatCount, formatShare } from '../format'
import { RunName } from '../run-choice'
import { Scatter } from './scatter'
import '../../style/recall.css'

/** The task whose recall is drawn first; any other that is judged by accuracy may be the detail of the address. */
const firstTask = 'mqar'

/** Accuracy against the bytes of state that it took: a point for each finished run, filled in as runs finish. */
export default function Recall({ detail }: { readonly detail: string }) {
  const task = detail === '' ? firstTask : detail
  const runs = records.value.filter((run) => run.experiment.task === task && run.evaluation !== null)
  const papers = [...new Set(runs.map(({ experiment }) => experiment.paper))].sort()
  const groups = papers.map((paper) => ({
    name: shortTitle(paper),
    points: runs
      .filter(({ experiment }) => experiment.paper === paper)
      .map((run) => ({ x: run.facts.stateBytes, y: run.evaluation?.tokenAcc ?? 0, name: describe(run) }))
      .sort((a, b) => a.x - b.x),
  }))
  return (
    <section class="recall" aria-label="Recall and state">
      <h2>Recall and state</h2>
      <p>
        What a model recalls, against the bytes of state it keeps for one row: {taskTitle(task).toLowerCase()}. Every
        run that finishes in this browser becomes a point.
      </p>
      <SweepControls />
      {groups.length === 0 ? (
        <p class="quiet">No run on this task has finished here yet. Run the sweep, or train one to its last step.</p>
      ) : (
        <Scatter groups={groups} />
      )}
      <Table runs={runs} />
    </section>
  )
}

function describe({ experiment, facts, evaluation }: RunRecord): string {
  return `${experiment.paper}: ${formatBytes(facts.stateBytes)} of state, ${formatShare(evaluation?.tokenAcc ?? 0)}`
}

function SweepControls() {
  const sweep = sweeps[0]
  if (sweep === undefined) return null
  const running = options.value.sweep === sweep.key
  const ids = new Set(records.value.map(({ id }) => id))
  const done = sweep.experiments.filter((experiment) => ids.has(experimentId(experiment))).length
  const [lane] = lanes.value
  return (
    <div class="sweep">
      <button
        type="button"
        class={running ? '' : 'primary'}
        disabled={!running && done === sweep.experiments.length}
        onClick={() => setOptions({ sweep: running ? '' : sweep.key })}
      >
        {running ? 'Stop the sweep' : `Run ${sweep.title}`}
      </button>
      <span role="status">
        {formatCount(done)} of {formatCount(sweep.experiments.length)} have finished
      </span>
      {running && lane !== undefined && (
        <div class={`lane run-${lane.slot}`}>
          <p>
            <RunName lane={lane} />
          </p>
          <Controls lane={lane} />
        </div>
      )}
    </div>
  )
}

function Table({ runs }: { readonly runs: readonly RunRecord[] }) {
  if (runs.length === 0) return null
  const sorted = [...runs].sort((a, b) => a.facts.stateBytes - b.facts.stateBytes)
  return (
    <div class="scrolls">
      <table class="plain-table">
        <caption>The points as a table</caption>
        <thead>
          <tr>
            <th scope="col">paper</th>
            <th scope="col">state</th>
            <th scope="col">accuracy</th>
            <th scope="col">parameters</th>
            <th scope="col">steps</th>
            <th scope="col">
              <span class="hidden">Open</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ id, experiment, facts, evaluation, step }) => (
            <tr key={id}>
              <th scope="row">{shortTitle(experiment.paper)}</th>
              <td>{formatBytes(facts.stateBytes)}</td>
              <td>{formatShare(evaluation?.tokenAcc ?? 0)}</td>
              <td>{formatCount(facts.parameters)}</td>
              <td>{formatCount(step)}</td>
              <td>
                <a href={addressOfExperiments([experiment])}>Open</a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
