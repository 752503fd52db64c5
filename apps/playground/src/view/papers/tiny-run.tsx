import type { Experiment } from '@mneme/training'
import { useEffect, useRef, useState } from 'preact/hooks'
import { findTask } from '../../experiment/catalogue'
import { addressOfExperiments } from '../../page'
import { LineChart } from '../../picture/line-chart'
import { Station } from '../../station'
import type { TinyStep } from '../../worker/helper/tiny'
import { formatCount, formatShare } from '../format'

interface Progress {
  readonly losses: readonly number[]
  readonly accuracy: number | null
  readonly state: 'idle' | 'training' | 'done'
  readonly problem: string | null
}

const nothing: Progress = { losses: [], accuracy: null, state: 'idle', problem: null }

/** Trains a paper's smallest configuration here and now, for some seconds, in a worker of its own. */
export function TinyRun({ experiment }: { readonly experiment: Experiment | undefined }) {
  const [progress, setProgress] = useState(nothing)
  const station = useRef<Station | null>(null)
  useEffect(() => () => station.current?.close(), [])
  if (experiment === undefined) return null
  const start = async (): Promise<void> => {
    station.current?.close()
    station.current = new Station()
    setProgress({ ...nothing, state: 'training' })
    try {
      await station.current.ask('tiny', experiment, (step) => setProgress((before) => after(before, step)))
      setProgress((before) => ({ ...before, state: 'done' }))
    } catch (error) {
      setProgress((before) => ({ ...before, state: 'done', problem: (error as Error).message }))
    } finally {
      station.current?.close()
    }
  }
  const task = findTask(experiment.task)
  const { losses, accuracy, state, problem } = progress
  return (
    <section class="tiny" aria-labelledby="tiny-title">
      <h3 id="tiny-title">Try it</h3>
      <p>
        Its smallest form, as the tests have it, learns {task?.title.toLowerCase()}:{' '}
        {String(experiment.taskConfig.data)} symbols among {String(experiment.taskConfig.length)} tokens, for at most{' '}
        {formatCount(experiment.train.steps ?? 0)} steps or fifteen seconds.
      </p>
      <p class="row">
        <button type="button" class="primary" disabled={state === 'training'} onClick={() => void start()}>
          {state === 'training' ? 'Training' : state === 'done' ? 'Train it again' : 'Train it here'}
        </button>
        <a class="button" href={addressOfExperiments([experiment])}>
          Open in Train
        </a>
        <span role="status" class="quiet">
          {losses.length > 0 && `Step ${formatCount(losses.length)}, loss ${(losses.at(-1) ?? 0).toFixed(3)}`}
          {accuracy !== null && `, ${formatShare(accuracy)} of the symbols right`}
        </span>
      </p>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {losses.length > 1 && (
        <LineChart
          title="Training loss"
          series={[{ name: 'loss', values: losses }]}
          along="step"
          nameAt={(i) => String(i + 1)}
          unit="nats"
          low={0}
        />
      )}
    </section>
  )
}

function after(before: Progress, { losses, accuracy }: TinyStep): Progress {
  return { ...before, losses: [...before.losses, ...losses], accuracy: accuracy ?? before.accuracy }
}
