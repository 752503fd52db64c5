import { effect, type Signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'
import type { Lane } from '../lane'
import { formatCount, formatLoss } from './format'
import { makePlot, plotData, type Reading, readTheme } from './plot'

/** Redrawing more often shows nothing more and takes time from training. */
const leastBetweenMs = 250

interface Props {
  readonly lanes: readonly Lane[]
  readonly reading: Signal<Reading | null>
}

export function LossChart({ lanes, reading }: Props) {
  const host = useRef<HTMLDivElement>(null)

  useEffect(() => {
    const element = host.current
    if (element === null) return
    const colours = matchMedia('(prefers-color-scheme: dark)')
    let plot: uPlot
    const rebuild = (): void => {
      plot?.destroy()
      plot = makePlot({
        host: element,
        lanes,
        theme: readTheme(element),
        onRead: (found) => {
          reading.value = found
        },
      })
    }
    rebuild()
    const redraw = throttled(() => {
      plot.setData(plotData(lanes))
      element.setAttribute('aria-label', summary(lanes))
    })
    const stop = effect(() => {
      for (const { version, baselines } of lanes) [version.value, baselines.value]
      redraw()
    })
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: element.clientHeight }))
    resized.observe(element)
    colours.addEventListener('change', rebuild)
    return () => {
      stop()
      redraw.cancel()
      resized.disconnect()
      colours.removeEventListener('change', rebuild)
      plot.destroy()
    }
  }, [lanes, reading])

  return <div ref={host} class="plot" role="img" aria-label={summary(lanes)} />
}

function summary(lanes: readonly Lane[]): string {
  const curves = lanes.map(({ slot, history, latest }) => {
    const loss = history.recentLoss()
    if (loss === null) return `run ${slot.toUpperCase()} has not begun`
    return `run ${slot.toUpperCase()} from ${formatLoss(history.losses[0] ?? loss)} to ${formatLoss(loss)} at step ${formatCount(latest.peek()?.step ?? history.steps.at(-1) ?? 0)}`
  })
  return `Loss against steps: ${curves.join('; ')}. The same as a table below.`
}

/** At most one call in an animation frame, and not sooner than the least time after the last. */
function throttled(f: () => void): { (): void; cancel(): void } {
  let frame = 0
  let timer = 0
  let last = Number.NEGATIVE_INFINITY
  const call = (): void => {
    if (timer !== 0 || frame !== 0) return
    const wait = Math.max(0, last + leastBetweenMs - performance.now())
    timer = window.setTimeout(() => {
      timer = 0
      frame = requestAnimationFrame((now) => {
        frame = 0
        last = now
        f()
      })
    }, wait)
  }
  call.cancel = (): void => {
    clearTimeout(timer)
    cancelAnimationFrame(frame)
  }
  return call
}
