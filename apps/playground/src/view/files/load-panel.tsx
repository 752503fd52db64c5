import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { findPaper } from '../../experiment/catalogue'
import { addressOf } from '../../page'
import { Station } from '../../station'
import type { CheckpointFacts } from '../../worker/helper/open'
import { formatBytes, formatCount } from '../format'
import { CheckpointTable } from './checkpoint-table'
import { ContinuePanel } from './continue-panel'
import { droppedFiles } from './dropped'
import { InspectPanel } from './inspect-panel'

type State =
  | { readonly kind: 'empty' }
  | { readonly kind: 'reading'; readonly loaded: number; readonly total: number }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'open'; readonly facts: CheckpointFacts }

/** Opens a checkpoint from files that are dropped or chosen, in a worker. */
export function LoadPanel() {
  const [state, setState] = useState<State>({ kind: 'empty' })
  const [over, setOver] = useState(false)
  const station = useRef<Station | null>(null)
  const [filesId, folderId] = [useId(), useId()]
  useEffect(() => () => station.current?.close(), [])
  const open = async (files: readonly File[]): Promise<void> => {
    if (files.length === 0) return
    // a worker of its own each time, so that nothing of the last checkpoint stays in memory
    station.current?.close()
    station.current = new Station()
    setState({ kind: 'reading', loaded: 0, total: 0 })
    try {
      const facts = await station.current.ask('open', files, (part) => setState({ kind: 'reading', ...part }))
      setState({ kind: 'open', facts })
    } catch (error) {
      setState({ kind: 'refused', message: (error as Error).message })
    }
  }
  const chosen = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement
    void open(Array.from(input.files ?? []))
    input.value = ''
  }
  return (
    <section aria-labelledby="load-title">
      <h2 id="load-title">Open a checkpoint</h2>
      <p class="words">
        A folder as it is published, or its files: config.json, safetensors, and tokenizer.json where there is one. It
        is read in this page; nothing is sent anywhere.
      </p>
      <fieldset
        class={over ? 'drop over' : 'drop'}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault()
          setOver(false)
          if (event.dataTransfer !== null) void droppedFiles(event.dataTransfer).then(open)
        }}
      >
        <legend class="hidden">Files of a checkpoint</legend>
        <p>Drop a folder or files here, or choose</p>
        <label class="button" for={filesId}>
          files
          <input id={filesId} class="hidden" type="file" multiple onChange={chosen} />
        </label>
        <label class="button" for={folderId}>
          a folder
          <input id={folderId} class="hidden" type="file" {...{ webkitdirectory: true }} onChange={chosen} />
        </label>
        <p role="status" class="quiet">
          {state.kind === 'reading' &&
            (state.total === 0 ? 'Reading.' : `${formatCount(state.loaded)} of ${formatCount(state.total)} tensors.`)}
        </p>
      </fieldset>
      {state.kind === 'refused' && (
        <pre class="problem" role="alert">
          {state.message}
        </pre>
      )}
      {state.kind === 'open' && station.current !== null && (
        <OpenCheckpoint facts={state.facts} station={station.current} />
      )}
    </section>
  )
}

function OpenCheckpoint({ facts, station }: { readonly facts: CheckpointFacts; readonly station: Station }) {
  const paper = findPaper(facts.paper)
  return (
    <>
      <p class="what" role="status">
        <strong>{paper?.title ?? facts.paper}</strong>, {formatCount(facts.total)} parameters, a vocabulary of{' '}
        {formatCount(facts.vocabulary)}, {facts.constantState ? 'a state of' : 'after a thousand tokens a state of'}{' '}
        {formatBytes(facts.stateBytes)}. Every tensor was found, none was left over.{' '}
        {facts.layout === 'own' && 'It is in the layout of this project, for its paper has no published one. '}
        <a href={addressOf({ key: 'papers', detail: facts.paper })}>About the paper</a>
      </p>
      <CheckpointTable facts={facts} />
      {facts.causal && <ContinuePanel facts={facts} station={station} />}
      <InspectPanel facts={facts} station={station} />
    </>
  )
}
