import { findPaper, findTask } from '../experiment/catalogue'
import type { Lane } from '../lane'
import { Swatch } from './swatch'

interface Props {
  readonly lanes: readonly Lane[]
  readonly chosen: Lane
  readonly onChange: (lane: Lane) => void
}

/** Which run a view is about; only its name where there is one. */
export function RunChoice({ lanes, chosen, onChange }: Props) {
  if (lanes.length === 1) {
    return (
      <p>
        <RunName lane={chosen} />
      </p>
    )
  }
  return (
    <fieldset class="run-choice">
      <legend class="hidden">Run</legend>
      {lanes.map((lane) => (
        <label key={lane.id}>
          <input type="radio" name="run-choice" checked={lane === chosen} onChange={() => onChange(lane)} />{' '}
          <RunName lane={lane} />
        </label>
      ))}
    </fieldset>
  )
}

/** The paper and the task of a run, with its line. */
export function RunName({ lane }: { readonly lane: Lane }) {
  const { paper, task } = lane.experiment.value
  return (
    <>
      <Swatch slot={lane.slot} />
      {findPaper(paper)?.title ?? paper} <span class="quiet">on {findTask(task)?.title ?? task}</span>
    </>
  )
}
