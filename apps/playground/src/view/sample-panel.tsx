import { useId, useState } from 'preact/hooks'
import type { Lane } from '../lane'
import { options, setOptionsOf } from '../page'
import type { Sample } from '../protocol'
import { formatCount } from './format'
import { RowAnswer } from './row-answer'

/** What the model makes of its task by now, and what it made of it before. */
export function SamplePanel({ lane }: { readonly lane: Lane }) {
  const sample = lane.sample.value
  return (
    <section class="sample" aria-label={`Sample of run ${lane.slot.toUpperCase()}`}>
      <h3>
        {sample?.form === 'row' ? 'Its answer' : 'Its writing'}{' '}
        <span class="quiet">{sample === null ? '' : `at step ${formatCount(sample.step)}`}</span>
      </h3>
      <div class="latest">
        {sample === null ? <p class="quiet">The first sample comes with the first step.</p> : <Shown sample={sample} />}
      </div>
      <Earlier samples={lane.samples.value} />
      {lane.facts.value?.takesPrompt && <Prompt lane={lane} />}
    </section>
  )
}

function Shown({ sample }: { readonly sample: Sample }) {
  if (sample.form === 'row') return <RowAnswer sample={sample} />
  return (
    <p class="prose">
      <span class="quiet">{sample.prompt}</span>
      {sample.text}
    </p>
  )
}

/** One line for each sample that was kept, so that the learning can be read from top to bottom. */
function Earlier({ samples }: { readonly samples: readonly Sample[] }) {
  return (
    <ol class="earlier" aria-label="Earlier samples">
      {samples.map((sample, i) => (
        <li key={i}>
          <span class="at">step {formatCount(sample.step)}</span>
          <span class="line">
            {sample.form === 'row' ? `${sample.right} of ${sample.asked} right` : sample.text.replace(/\s+/g, ' ')}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Prompt({ lane }: { readonly lane: Lane }) {
  const { prompt, temperature } = options.value.draw
  const [promptId, temperatureId] = [useId(), useId()]
  const [answer, setAnswer] = useState<Sample | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const write = async (): Promise<void> => {
    try {
      setAnswer(await lane.ask('write', { prompt, temperature }))
      setProblem(null)
    } catch (error) {
      setProblem((error as Error).message)
    }
  }
  return (
    <form
      class="prompt"
      onSubmit={(event) => {
        event.preventDefault()
        void write()
      }}
    >
      <div class="field grow">
        <label for={promptId}>Let it go on from</label>
        <input
          id={promptId}
          value={prompt}
          required
          onInput={(event) => setOptionsOf('draw', { prompt: event.currentTarget.value })}
        />
      </div>
      <div class="field">
        <label for={temperatureId}>Temperature {temperature.toFixed(1)}</label>
        <input
          id={temperatureId}
          type="range"
          min="0"
          max="1.5"
          step="0.1"
          value={temperature}
          onInput={(event) => setOptionsOf('draw', { temperature: event.currentTarget.valueAsNumber })}
        />
      </div>
      <button type="submit">Write</button>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <output class="answer">{answer === null ? null : <Shown sample={answer} />}</output>
    </form>
  )
}
