import '../../style/inside.css'
import '../../style/picture.css'
import { useEffect, useId, useMemo, useState } from 'preact/hooks'
import type { Lane } from '../../lane'
import { options, setOptionsOf } from '../../page'
import { Controls, TroubleNote } from '../controls'
import { formatCount } from '../format'
import { chosenRun, RunChoice } from '../run-choice'
import { Panels } from './panels'
import type { Look, Source } from './source'

type Seen = Look & { readonly step: number }

/** Looks into a run: `view=inside`, or `view=inside/b` for the second. */
export default function Inside() {
  const lane = chosenRun()
  if (lane === undefined) return null
  return (
    <section class="inside" aria-labelledby="inside-title">
      <h2 id="inside-title">Look inside</h2>
      <RunChoice chosen={lane} />
      <RunInside key={lane.id} lane={lane} />
    </section>
  )
}

function RunInside({ lane }: { readonly lane: Lane }) {
  const { row } = options.value.look
  const [text, setText] = useState(options.value.look.text)
  const [seen, setSeen] = useState<Seen | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const facts = lane.facts.value
  const id = useId()
  const experiment = lane.experiment.value
  const look = async (typed: string | null, at: number): Promise<void> => {
    setBusy(true)
    try {
      setSeen(await lane.ask('look', { text: typed, row: at }))
      setProblem(null)
    } catch (error) {
      setProblem((error as Error).message)
    } finally {
      setBusy(false)
    }
  }
  useEffect(() => {
    setSeen(null)
    if (facts !== null) void look(facts.takesPrompt && text !== '' ? text : null, row)
  }, [facts, experiment])
  const source = useMemo(
    (): Source => ({
      states: (ids) => lane.ask('states', ids),
      influence: (ids, positions) => lane.ask('influence', { ids, positions }),
    }),
    [lane],
  )
  const again = (): void => {
    setOptionsOf('look', { text, token: 0 })
    void look(text === '' ? null : text, row)
  }
  const next = (): void => {
    setText('')
    setOptionsOf('look', { row: row + 1, text: '', token: 0 })
    void look(null, row + 1)
  }
  return (
    <>
      <p class="quiet">One sequence is read by the model as it stands; training waits for that moment and goes on.</p>
      <Controls lane={lane} />
      <TroubleNote lane={lane} />
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          again()
        }}
      >
        {facts?.takesPrompt === true && (
          <div class="field grow">
            <label for={id}>Text to read; empty for the validation text</label>
            <input id={id} type="text" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </div>
        )}
        <button type="submit" class="primary" disabled={busy || facts === null}>
          Look again
        </button>
        <button type="button" disabled={busy || facts === null} onClick={next}>
          Another row
        </button>
        <span class="quiet" role="status">
          {busy ? 'Looking.' : seen === null ? 'Waiting for the model.' : `Seen at step ${formatCount(seen.step)}.`}
        </span>
      </form>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {seen !== null && <Panels look={seen} source={source} />}
    </>
  )
}
