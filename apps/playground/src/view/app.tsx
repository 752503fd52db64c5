import { useSignal } from '@preact/signals'
import { useState } from 'preact/hooks'
import type { Lane } from '../lane'
import {
  addressProblem,
  dropSketch,
  lanes,
  openDefault,
  removeSecond,
  sketch,
  sketchSecond,
  startIn,
  startSecond,
} from '../page'
import { Announcer } from './announcer'
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

export function App() {
  const runs = lanes.value
  return (
    <>
      <Masthead />
      <main>
        <AddressProblem />
        {runs.length > 0 && (
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
        )}
      </main>
      <Announcer lanes={runs} />
    </>
  )
}

function Masthead() {
  const [copied, setCopied] = useState(false)
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(location.href)
    setCopied(true)
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <header class="masthead">
      <h1>mneme</h1>
      <p>Sequence models with memory, training in this tab. Nothing leaves your machine.</p>
      <button type="button" onClick={() => void copy()}>
        {copied ? 'Link copied' : 'Copy link'}
      </button>
    </header>
  )
}

function AddressProblem() {
  if (addressProblem.value === null) return null
  return (
    <div class="problem" role="alert">
      <p>
        The address of this page does not name an experiment. <strong>{addressProblem.value}</strong>
      </p>
      <p>
        Correct the part after # in the address, or{' '}
        <button type="button" onClick={openDefault}>
          open the default experiment
        </button>
      </p>
    </div>
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
