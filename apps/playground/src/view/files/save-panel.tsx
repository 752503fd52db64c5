import { useState } from 'preact/hooks'
import type { Lane } from '../../lane'
import { addressOf, lanes } from '../../page'
import { download } from '../download'
import { formatBytes, formatCount } from '../format'
import { Scrolled } from '../scrolled'
import { scriptOf } from './script'
import { zip } from './zip'

/** Takes away what was trained, and the experiment as a program. */
export function SavePanel() {
  return (
    <section aria-labelledby="save-title">
      <h2 id="save-title">Take a run with you</h2>
      <p class="words">
        The model as a folder of config.json and safetensors in its authors’ layout, which PyTorch’s libraries read,
        with the experiment beside it; or the whole experiment as a program for Node.
      </p>
      {lanes.value.length === 0 ? (
        <p class="quiet">
          Nothing runs yet. <a href={addressOf({ key: 'train', detail: '' })}>Train first.</a>
        </p>
      ) : (
        lanes.value.map((lane) => <RunExport key={lane.slot} lane={lane} />)
      )}
    </section>
  )
}

function RunExport({ lane }: { readonly lane: Lane }) {
  const [status, setStatus] = useState('')
  const experiment = lane.experiment.value
  const { paper, task } = experiment
  const script = scriptOf(experiment)
  const take = async (): Promise<void> => {
    setStatus('Packing.')
    try {
      const { files, layout, step } = await lane.ask('export', null)
      const name = `${paper}-${task}-step-${step}`
      const archive = zip(files.map((file) => ({ ...file, name: `${name}/${file.name}` })))
      download(`${name}.zip`, archive, 'application/zip')
      setStatus(
        `${formatBytes(archive.size)} at step ${formatCount(step)}, ${layout === 'published' ? 'in the published layout' : 'in the layout of this project, for this paper has no published one'}.`,
      )
    } catch (error) {
      setStatus((error as Error).message)
    }
  }
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(script)
    setStatus('Script copied.')
  }
  return (
    <section class="export" aria-label={`Run ${lane.slot.toUpperCase()}`}>
      <h3>
        {paper} on {task}
      </h3>
      <p class="row">
        <button type="button" class="primary" disabled={lane.facts.value === null} onClick={() => void take()}>
          Download the model
        </button>
        <button type="button" onClick={() => download('train.mjs', script, 'text/javascript')}>
          Download the script
        </button>
        <button type="button" onClick={() => void copy()}>
          Copy the script
        </button>
        <span role="status" class="quiet">
          {status}
        </span>
      </p>
      <Scrolled label="The experiment as a script">
        <pre class="script">{script}</pre>
      </Scrolled>
    </section>
  )
}
