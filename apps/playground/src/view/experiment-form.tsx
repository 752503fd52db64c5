import type { Experiment } from '@mneme/training'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Slot } from '../experiment/address'
import { automaticSettings } from '../experiment/automatic'
import { catalogue } from '../experiment/catalogue'
import { experimentId, quickTraining } from '../experiment/starting-point'
import { Choice } from './choice'
import { Field } from './field'
import { Settings } from './settings'

interface Props {
  readonly slot: Slot
  /** What runs now, or the sketch of what is to be started. */
  readonly experiment: Experiment
  readonly running: boolean
  /** @throws what the page is to say about a setting that does not fit */
  readonly onStart: (experiment: Experiment) => void
  readonly children?: ComponentChildren
  /** Stands beside the settings. */
  readonly note?: ComponentChildren
}

/** Puts an experiment together. Nothing that runs is touched until it is started. */
export function ExperimentForm({ slot, experiment, running, onStart, children, note }: Props) {
  const [draft, setDraft] = useState(experiment)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    setDraft(experiment)
    setProblem(null)
  }, [experiment])
  const edited = !running || experimentId(draft) !== experimentId(experiment)
  const edit = (next: Experiment): void => {
    setDraft(next)
    setProblem(null)
  }
  const submit = (event: Event): void => {
    event.preventDefault()
    try {
      onStart(draft)
    } catch (error) {
      setProblem((error as Error).message)
    }
  }
  const train = (key: 'lr' | 'steps') => (
    <Field
      label={key === 'lr' ? 'Rate' : 'Steps'}
      standard={catalogue.train[key]}
      value={draft.train[key] ?? catalogue.train[key]}
      automatic={automaticSettings(draft)[key]}
      onChange={(value) => edit({ ...draft, train: { ...draft.train, [key]: value } })}
    />
  )
  return (
    <form class={`experiment run-${slot}`} aria-label={`Experiment ${slot.toUpperCase()}`} onSubmit={submit}>
      <div class="choices">
        <Choice
          label="Paper"
          value={draft.paper}
          options={catalogue.papers.map(({ key, title, year }) => ({ key, text: `${title} (${year})` }))}
          onChange={(paper) => edit(withPaper(draft, paper))}
        />
        <Choice
          label="Task"
          value={draft.task}
          options={catalogue.tasks.map(({ key, title }) => ({ key, text: title }))}
          onChange={(task) => edit(withTask(draft, task))}
        />
        <Field
          label="Seed"
          standard={0}
          value={draft.seed}
          onChange={(seed) => edit({ ...draft, seed: Number(seed) })}
        />
        {train('lr')}
        {train('steps')}
        <div class="start">
          <button type="submit" class="primary" disabled={!edited}>
            Start this
          </button>
          {running && edited && (
            <button type="button" onClick={() => edit(experiment)}>
              Undo
            </button>
          )}
          {children}
        </div>
      </div>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="foot">
        <Settings draft={draft} onChange={edit} />
        {note}
      </div>
    </form>
  )
}

/** Another paper brings its own settings and rate; how long to train stays. */
function withPaper(draft: Experiment, paper: string): Experiment {
  const { lr, ...train } = draft.train
  return { ...draft, paper, config: {}, train }
}

/** Another task brings its own lengths; the rate and the number of steps stay. */
function withTask(draft: Experiment, task: string): Experiment {
  const quick = quickTraining(task)
  const { lr, steps } = { ...quick, ...draft.train }
  const train = { ...quick, ...(lr !== undefined && { lr }), ...(steps !== undefined && { steps }) }
  return { ...draft, task, taskConfig: {}, train }
}
