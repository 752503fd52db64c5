import { batch } from '@preact/signals'
import { throttled } from './throttled'

/** Oftener shows nothing more, and every time the page is laid out and painted anew. */
const betweenMs = 250

const waiting = new Set<() => void>()

const beat = throttled(() => {
  const due = [...waiting]
  waiting.clear()
  batch(() => {
    for (const show of due) show()
  })
}, betweenMs)

/** Shows something at the page's next beat, together with whatever else has waited for it. */
export function atBeat(show: () => void): void {
  waiting.add(show)
  beat()
}
