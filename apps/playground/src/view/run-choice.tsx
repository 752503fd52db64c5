import { shortTitle, taskTitle } from '../experiment/catalogue'
import type { Lane } from '../lane'
import { addressOf, lanes, view } from '../page'
import { Swatch } from './swatch'

/** The run that a view is about: `view=inside/b` is about the second. The first where the address names none. */
export function chosenRun(): Lane | undefined {
  const { detail } = view.value
  return lanes.value.find(({ slot }) => slot === detail) ?? lanes.value[0]
}

/** Chooses it; only its name where there is one. */
export function RunChoice({ chosen }: { readonly chosen: Lane }) {
  if (lanes.value.length === 1) {
    return (
      <p>
        <RunName lane={chosen} />
      </p>
    )
  }
  return (
    <fieldset class="run-choice">
      <legend class="hidden">Run</legend>
      {lanes.value.map((lane) => (
        <label key={lane.id}>
          <input
            type="radio"
            name="run-choice"
            checked={lane === chosen}
            onChange={() => {
              location.hash = addressOf({ key: view.value.key, detail: lane.slot })
            }}
          />
          <span>
            <RunName lane={lane} />
          </span>
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
      {shortTitle(paper)} <span class="quiet">on {taskTitle(task)}</span>
    </>
  )
}
