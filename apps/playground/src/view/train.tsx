import { useSignal } from '@preact/signals'
import { slots } from '../experiment/address'
import { axes, charts } from '../experiment/options'
import type { Lane } from '../lane'
import {
  addressOf,
  dropSketch,
  lanes,
  options,
  pauseAll,
  remove,
  setOptions,
  sketch,
  sketchAnother,
  startAll,
  startIn,
  startSketch,
} from '../page'
import { ChoiceOf } from './choice-of'
import { Controls, KeptNote, TroubleNote } from './controls'
import { CurveChart } from './curve-chart'
import { ExperimentForm } from './experiment-form'
import { Figures } from './figures'
import { ChartNote, Legend } from './legend'
import { MakeEqual } from './make-equal'
import { measures } from './measures'
import { PaperCard } from './paper-card'
import type { Reading } from './plot'
import { RunName } from './run-choice'
import { RunsTable } from './runs-table'
import { SamplePanel } from './sample-panel'
import { ValueTable } from './value-table'

const backendNames = { webgpu: 'WebGPU', wasm: 'WebAssembly', cpu: 'plain JavaScript' } as const

/** The first view: experiments, their curves, and what each model writes. */
export function Train() {
  const runs = lanes.value
  if (runs.length === 0) return null
  return (
    <>
      <Experiments runs={runs} />
      <Curves runs={runs} />
      <RunsTable runs={runs} />
      <div class={`runs of-${runs.length}`}>
        {runs.map((lane) => (
          <article key={lane.id} class={`run run-${lane.slot}`} aria-label={`Run ${lane.slot.toUpperCase()}`}>
            {runs.length > 1 && (
              <h2>
                <RunName lane={lane} />
              </h2>
            )}
            <Figures lane={lane} />
            <SamplePanel lane={lane} />
            <PaperCard lane={lane} />
          </article>
        ))}
      </div>
    </>
  )
}

function Experiments({ runs }: { readonly runs: readonly Lane[] }) {
  const next = slots[runs.length]
  return (
    <section class="experiments" aria-label="Experiments">
      {runs.map((lane) => (
        <div key={lane.id} class={`lane run-${lane.slot}`}>
          <ExperimentForm
            slot={lane.slot}
            experiment={lane.experiment.value}
            running
            onStart={(experiment) => startIn(lane, experiment)}
            note={<KeptNote lane={lane} />}
          >
            {runs.length > 1 && (
              <button type="button" aria-label={`Remove run ${lane.slot.toUpperCase()}`} onClick={() => remove(lane)}>
                Remove
              </button>
            )}
          </ExperimentForm>
          <Controls lane={lane} />
          <TroubleNote lane={lane} />
        </div>
      ))}
      {sketch.value !== null && next !== undefined && (
        <div class={`lane run-${next}`}>
          <ExperimentForm slot={next} experiment={sketch.value} running={false} onStart={startSketch}>
            <button type="button" onClick={dropSketch}>
              Cancel
            </button>
          </ExperimentForm>
        </div>
      )}
      <div class="below">
        <BackendLine lane={runs[0]} />
        <div class="buttons">
          {runs.length > 1 && (
            <>
              <button type="button" onClick={startAll}>
                Start all
              </button>
              <button type="button" onClick={pauseAll}>
                Pause all
              </button>
            </>
          )}
          {next !== undefined && sketch.value === null && (
            <button type="button" onClick={sketchAnother}>
              Compare with another run
            </button>
          )}
        </div>
      </div>
      {runs.length > 1 && <MakeEqual runs={runs} />}
    </section>
  )
}

function BackendLine({ lane }: { readonly lane: Lane | undefined }) {
  const backend = lane?.backend.value
  if (backend === null || backend === undefined) return <p class="backend quiet">Choosing where to compute.</p>
  return (
    <p class="backend quiet" data-backend={backend.name}>
      Computed by <strong>{backendNames[backend.name]}</strong>: {backend.why}.
      {backend.leftOut.length > 0 && (
        <>
          {' '}
          Kernels that failed their <a href={addressOf({ key: 'device', detail: '' })}>self-test</a> here, and run by
          their references: {backend.leftOut.join(', ')}.
        </>
      )}
    </p>
  )
}

function Curves({ runs }: { readonly runs: readonly Lane[] }) {
  const reading = useSignal<Reading | null>(null)
  const { chart, axis } = options.value
  const measure = measures[chart]
  return (
    <section class="curves" aria-label="Curves">
      <div class="chart-choices">
        <ChoiceOf
          label="Chart"
          value={chart}
          options={charts.map((key) => ({ key, text: measures[key].title }))}
          onChange={(key) => setOptions({ chart: key })}
        />
        {!measure.logX && (
          <ChoiceOf
            label="Against"
            value={axis}
            options={axes.map((key) => ({ key, text: key }))}
            onChange={(key) => setOptions({ axis: key })}
          />
        )}
      </div>
      <Legend lanes={runs} measure={measure} axis={axis} reading={reading} />
      <CurveChart lanes={runs} measure={measure} axis={axis} reading={reading} />
      <ChartNote lanes={runs} measure={measure} />
      <ValueTable lanes={runs} />
    </section>
  )
}
