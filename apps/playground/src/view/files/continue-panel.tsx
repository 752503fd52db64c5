import { useId, useState } from 'preact/hooks'
import type { Station } from '../../station'
import type { CheckpointFacts } from '../../worker/helper/open'
import { formatBytes, formatCount } from '../format'

const tokens = 200

/** Lets the checkpoint write on from a prompt. */
export function ContinuePanel({ facts, station }: { readonly facts: CheckpointFacts; readonly station: Station }) {
  const [prompt, setPrompt] = useState(facts.reads ? 'The ' : '1, 2, 3')
  const [temperature, setTemperature] = useState(0.8)
  const [written, setWritten] = useState('')
  const [status, setStatus] = useState('')
  const [busy, setBusy] = useState(false)
  const [promptId, temperatureId] = [useId(), useId()]
  const write = async (): Promise<void> => {
    setBusy(true)
    setWritten('')
    setStatus('Writing.')
    try {
      const payload = { prompt, tokens, temperature, seed: 0 }
      const report = await station.ask('continue', payload, (piece) => setWritten((text) => text + piece))
      setStatus(
        `${formatCount(report.tokens)} tokens, ${formatCount(report.tokensPerSecond)} a second, ${formatBytes(report.stateBytes)} of state.`,
      )
    } catch (error) {
      setStatus((error as Error).message)
    } finally {
      setBusy(false)
    }
  }
  return (
    <section aria-label="Generate">
      <h3>Let it write</h3>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          void write()
        }}
      >
        <div class="field grow">
          <label for={promptId}>{facts.reads ? 'Prompt' : 'Prompt, as token ids: there is no tokenizer'}</label>
          <input id={promptId} type="text" value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
        </div>
        <div class="field">
          <label for={temperatureId}>Temperature</label>
          <input
            id={temperatureId}
            type="number"
            min={0}
            max={2}
            step={0.1}
            value={temperature}
            onInput={(event) => setTemperature(event.currentTarget.valueAsNumber)}
          />
        </div>
        <button type="submit" class="primary" disabled={busy}>
          Write
        </button>
        <span role="status" class="quiet">
          {status}
        </span>
      </form>
      {written !== '' && (
        <p class="prose continued">
          <span class="quiet">{prompt}</span>
          {facts.reads ? '' : ' → '}
          {written}
        </p>
      )}
    </section>
  )
}
