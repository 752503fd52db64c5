import { useComputed, useSignal } from '@preact/signals'
import { useEffect, useId, useRef } from 'preact/hooks'
import { allOptions } from '../../experiment/options'
import type { Lane } from '../../lane'
import { lanes, options, setOptions } from '../../page'
import type { BeyondPoint } from '../../worker/answers/beyond'
import { formatBytes, formatCount, formatLoss, formatShare, orUnknown } from '../format'
import { RunName } from '../run-choice'
import { Scrolled } from '../scrolled'
import { StartStop } from '../start-stop'
import { LengthChart, type Line, type Scale } from './length-chart'
import '../../style/beyond.css'

/** What was found for one run. */
interface Found {
  readonly lane: Lane
  readonly points: readonly BeyondPoint[]
  /** What it is doing, or why it ended. */
  readonly words: string
}

interface Quantity {
  readonly title: string
  readonly of: (point: BeyondPoint) => number | null
  readonly format: (value: number) => string
  readonly scale: Scale
}

/** Of bytes, over factors of 32: 1 KB, 32 KB, 1 MB. */
const bytes = { format: formatBytes, scale: { powersOf: 32 } }
const state: Quantity = { title: 'State of a row', of: ({ stateBytes }) => stateBytes, ...bytes }
const tensors: Quantity = { title: 'Tensors alive', of: ({ tensorBytes }) => tensorBytes, ...bytes }
const held: Quantity = { title: 'Memory held', of: ({ heldBytes }) => heldBytes, ...bytes }
const time: Quantity = {
  title: 'Time per token',
  of: ({ msPerToken }) => 1000 * msPerToken,
  format: (value) => `${Number(value.toPrecision(2))} µs`,
  scale: { powersOf: 10 },
}
const accuracy: Quantity = {
  title: 'Accuracy',
  of: ({ tokenAcc }) => tokenAcc,
  format: formatShare,
  scale: { upTo: 1 },
}
const loss: Quantity = {
  title: 'Loss, nats',
  of: ({ lossNats }) => lossNats,
  format: formatLoss,
  scale: { upTo: null },
}
const inTable = [accuracy, loss, state, tensors, held, time]

/** The runs as they are now, over rows up to a thousand times as long as those they are trained on. */
export default function Beyond() {
  const found = useSignal<readonly Found[]>([])
  const stop = useRef<AbortController | null>(null)
  const busy = useSignal(false)
  useEffect(() => () => stop.current?.abort(), [])

  const change = (lane: Lane, next: (before: Found) => Found): void => {
    const before = found.value.find((one) => one.lane === lane) ?? { lane, points: [], words: '' }
    found.value = [...found.value.filter((one) => one.lane !== lane), next(before)]
  }
  const evaluate = async (): Promise<void> => {
    const controller = new AbortController()
    stop.current = controller
    busy.value = true
    found.value = []
    for (const lane of lanes.value) {
      if (controller.signal.aborted) break
      await evaluateOne(lane, controller.signal, (next) => change(lane, next))
    }
    busy.value = false
  }
  const shown = useComputed(() =>
    lanes.value.flatMap((lane) => found.value.find((one) => one.lane === lane) ?? []),
  ).value
  return (
    <section class="beyond" aria-label="Beyond training length">
      <h2>Beyond training length</h2>
      <p>
        The same models, as they are now, read rows far longer than any they were trained on: in pieces, with their
        state carried along. A state that grows with the row costs memory and time; one that does not, neither. Training
        waits meanwhile.
      </p>
      <Reach busy={busy.value} onStart={() => void evaluate()} onStop={() => stop.current?.abort()} />
      <ul class="progresses">
        {shown.map(({ lane, words }) => (
          <li key={lane.id}>
            <RunName lane={lane} /> <span role="status">{words}</span>
          </li>
        ))}
      </ul>
      <Pictures found={shown} />
      <Tables found={shown} />
    </section>
  )
}

async function evaluateOne(
  lane: Lane,
  signal: AbortSignal,
  change: (next: (before: Found) => Found) => void,
): Promise<void> {
  const say = (words: string): void => change((before) => ({ ...before, words }))
  say('is waiting for its run to begin.')
  try {
    const { complete, step } = await lane.ask(
      'beyond',
      { times: options.value.times },
      {
        signal,
        onPart: (part) => {
          if (part.type === 'point') change((before) => ({ ...before, points: [...before.points, part.point] }))
          else say(`reads ${formatCount(part.length)} tokens a row: ${formatShare(part.share)}.`)
        },
      },
    )
    say(`${complete ? 'is done' : 'was stopped'}: the model of step ${formatCount(step)}.`)
  } catch (error) {
    say((error as Error).message)
  }
}

interface ReachProps {
  readonly busy: boolean
  readonly onStart: () => void
  readonly onStop: () => void
}

const { most } = allOptions.times

/** How far: a slider whose steps are alike as ratios. */
function Reach({ busy, onStart, onStop }: ReachProps) {
  const id = useId()
  const { times } = options.value
  const trained = lanes.value[0]?.facts.value?.stateTokens
  const words = `${formatCount(times)} times the training length${trained === undefined ? '' : `: ${formatCount(times * trained)} tokens`}`
  return (
    <form
      class="reach"
      onSubmit={(event) => {
        event.preventDefault()
        onStart()
      }}
    >
      <div class="field grow">
        <label for={id}>Up to {words}</label>
        <input
          id={id}
          type="range"
          min="0"
          max="1"
          step="0.01"
          value={Math.log(times) / Math.log(most)}
          aria-valuetext={words}
          onInput={(event) => setOptions({ times: rounded(most ** event.currentTarget.valueAsNumber) })}
        />
      </div>
      <StartStop start="Evaluate" busy={busy} onStop={onStop} />
    </form>
  )
}

/** To two digits. */
function rounded(value: number): number {
  return Math.min(most, Number(value.toPrecision(2)) | 0) || 1
}

function Pictures({ found }: { readonly found: readonly Found[] }) {
  if (found.every(({ points }) => points.length === 0)) return null
  const judged = judgedBy(found)
  return (
    <div class="pictures">
      {[judged, time, state, tensors, held].map((quantity) => (
        <LengthChart
          key={quantity.title}
          title={quantity.title}
          format={quantity.format}
          scale={quantity.scale}
          lines={found.map(({ lane, points }): Line => {
            const known = points.flatMap((point) => {
              const y = quantity.of(point)
              return y === null || Number.isNaN(y) ? [] : [{ x: point.length, y }]
            })
            return { slot: lane.slot, points: known }
          })}
        />
      ))}
    </div>
  )
}

/** Text is judged by its loss, answers by whether they are right. */
function judgedBy(found: readonly Found[]): Quantity {
  return found.some(({ lane }) => lane.facts.value?.metric === 'lossNats') ? loss : accuracy
}

function Tables({ found }: { readonly found: readonly Found[] }) {
  return found.map(({ lane, points }) =>
    points.length === 0 ? null : (
      <Scrolled key={lane.id} class="scrolls" label={`Values of run ${lane.slot.toUpperCase()}`}>
        <table class="plain-table">
          <caption>Run {lane.slot.toUpperCase()} beyond its training length</caption>
          <thead>
            <tr>
              <th scope="col">Tokens a row</th>
              <th scope="col">Times trained</th>
              <th scope="col">Answers</th>
              {inTable.map(({ title }) => (
                <th key={title} scope="col">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {points.map((point) => (
              <tr key={point.length}>
                <th scope="row">{formatCount(point.length)}</th>
                <td>{formatCount(point.times)}</td>
                <td>{formatCount(point.positions)}</td>
                {inTable.map(({ title, of, format }) => (
                  <td key={title}>{orUnknown(of(point), format)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
    ),
  )
}
