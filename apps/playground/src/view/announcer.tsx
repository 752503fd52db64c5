import { useEffect, useState } from 'preact/hooks'
import type { Lane } from '../lane'
import { stepOf } from './controls'
import { formatCount, formatLoss, orUnknown } from './format'

const everyMs = 20_000

/** Tells those who listen how the runs are doing: when a run changes, and now and then. */
export function Announcer({ lanes }: { readonly lanes: readonly Lane[] }) {
  const [text, setText] = useState('')
  const phases = lanes.map(({ phase }) => phase.value).join()
  useEffect(() => {
    const say = (): void => setText(lanes.map(describe).join(' '))
    say()
    const timer = setInterval(say, everyMs)
    return () => clearInterval(timer)
  }, [lanes, phases])
  return (
    <p class="hidden" role="status" aria-live="polite">
      {text}
    </p>
  )
}

function describe(lane: Lane): string {
  const step = formatCount(stepOf(lane))
  const loss = orUnknown(lane.history.recentLoss(), formatLoss)
  return `Run ${lane.slot.toUpperCase()}: ${lane.phase.value}, step ${step}, loss ${loss}.`
}
