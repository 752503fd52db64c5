import { useId, useMemo, useState } from 'preact/hooks'
import type { Station } from '../../station'
import type { CheckpointFacts } from '../../worker/helper/open'
import { Panels } from '../inside/panels'
import type { Look, Source } from '../inside/source'

/** Looks into the checkpoint as `inside` does into a run. */
export function InspectPanel({ facts, station }: { readonly facts: CheckpointFacts; readonly station: Station }) {
  const [text, setText] = useState(facts.reads ? 'It was a dark and stormy night' : '1, 2, 3, 1, 2')
  const [look, setLook] = useState<Look | null>(null)
  const [status, setStatus] = useState('')
  const id = useId()
  const source = useMemo(
    (): Source => ({
      states: async (ids) => {
        const reply = await station.ask('inspect', { about: 'states', ids })
        return 'states' in reply && reply.states ? reply.states : []
      },
      influence: async (ids, positions) => {
        const reply = await station.ask('inspect', { about: 'influence', ids, positions })
        return 'influence' in reply && reply.influence ? reply.influence : null
      },
    }),
    [station],
  )
  const inspect = async (): Promise<void> => {
    setStatus('Looking.')
    try {
      const reply = await station.ask('inspect', { about: 'look', text })
      if ('look' in reply && reply.look) setLook(reply.look)
      setStatus('')
    } catch (error) {
      setStatus((error as Error).message)
    }
  }
  return (
    <section class="inside" aria-label="Look inside">
      <h3>Look inside it</h3>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault()
          void inspect()
        }}
      >
        <div class="field grow">
          <label for={id}>{facts.reads ? 'Text to read' : 'Token ids to read'}</label>
          <input id={id} type="text" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
        <button type="submit">Look</button>
        <span role="status" class="quiet">
          {status}
        </span>
      </form>
      {look !== null && <Panels look={look} source={source} />}
    </section>
  )
}
