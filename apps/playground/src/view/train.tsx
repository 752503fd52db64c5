import { useSignal } from '@preact/signals'
import type { Lane } from '../lane'
import { dropSketch, lanes, removeSecond, sketch, sketchSecond, startIn, startSecond } from '../page'
import { Controls, KeptNote, TroubleNote } from './controls'
import { ExperimentForm } from './experiment-form'
import { Figures } from './figures'
import { ChartNote, Legend } from './legend'
import { LossChart } from './loss-chart'
import { PaperCard } from './paper-card'
import type { Reading } from './plot'
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
      <Curves key={runs.map(({ slot }) => slot).join()} runs={runs} />
      <div class={runs.length > 1 ? 'runs two' : 'runs'}>
        {runs.map((lane) => (
          <article key={lane.slot} class={`run run-${lane.slot}`} aria-label={`Run ${lane.slot.toUpperCase()}`}>
            <Figures lane={lane} />
            <SamplePanel lane={lane} />
            <PaperCard key={lane.experiment.value.paper} lane={lane} />
          </article>
        ))}
      </div>
    </>
  )
}

function Experiments({ runs }: { readonly runs: readonly Lane[] }) {
  return (
    <section class="experiments" aria-label="Experiments">
      {runs.map((lane) => (
        <div key={lane.slot} class="lane">
          <ExperimentForm
            slot={lane.slot}
            experiment={lane.experiment.value}
            running
            onStart={(experiment) => startIn(lane, experiment)}
            note={<KeptNote lane={lane} />}
          >
            {lane.slot === 'b' && (
              <button type="button" onClick={removeSecond}>
                Remove
              </button>
            )}
          </ExperimentForm>
          <Controls lane={lane} />
          <TroubleNote lane={lane} />
        </div>
      ))}
      {sketch.value !== null && (
        <div class="lane">
          <ExperimentForm slot="b" experiment={sketch.value} running={false} onStart={startSecond}>
            <button type="button" onClick={dropSketch}>
              Cancel
            </button>
          </ExperimentForm>
        </div>
      )}
      <div class="below">
        <BackendLine lane={runs[0]} />
        {runs.length === 1 && sketch.value === null && (
          <button type="button" onClick={sketchSecond}>
            Compare with a second run
          </button>
        )}
      </div>
    </section>
  )
}

function BackendLine({ lane }: { readonly lane: Lane | undefined }) {
  const backend = lane?.backend.value
  if (backend === null || backend === undefined) return <p class="backend quiet">Choosing where to compute.</p>
  return (
    <p class="backend quiet" data-backend={backend.name}>
      Computed by <strong>{backendNames[backend.name]}</strong>: {backend.why}.
    </p>
  )
}

function Curves({ runs }: { readonly runs: readonly Lane[] }) {
  const reading = useSignal<Reading | null>(null)
  return (
    <section class="curves" aria-label="Loss">
      <Legend lanes={runs} reading={reading} />
      <LossChart lanes={runs} reading={reading} />
      <ChartNote lanes={runs} />
      <ValueTable lanes={runs} />
    </section>
  )
}
