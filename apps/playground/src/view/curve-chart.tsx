import { effect, type Signal, untracked } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'
import type { Axis } from '../experiment/options'
import type { Lane } from '../lane'
import { formatCount, orUnknown } from './format'
import { type Measure, plotData } from './measures'
import { makePlot, type Reading, readTheme } from './plot'

interface Props {
  readonly lanes: readonly Lane[]
  readonly measure: Measure
  readonly axis: Axis
  readonly reading: Signal<Reading | null>
}

/** Draws one quantity of every run as it comes in. */
export function CurveChart({ lanes, measure, axis, reading }: Props) {
  const host = useRef<HTMLDivElement>(null)

  useEffect(() => {
    const element = host.current
    if (element === null) return
    const colours = matchMedia('(prefers-color-scheme: dark)')
    let plot: uPlot
    let drawn = ''
    const rebuild = (): void => {
      plot?.destroy()
      drawn = layout()
      plot = makePlot({
        host: element,
        lanes,
        measure,
        axis,
        theme: readTheme(element),
        onRead: (found) => {
          reading.value = found
        },
      })
    }
    // labels and styles are fixed when the plot is made
    const layout = (): string =>
      [measure.xLabel(lanes, axis), measure.yLabel(lanes), ...lanes.map(({ slot }) => slot)].join()
    rebuild()
    const redraw = (): void => {
      if (layout() === drawn) plot.setData(plotData(measure, lanes, axis))
      else rebuild()
      element.setAttribute('aria-label', summary(lanes, measure, axis))
    }
    // what is out of sight is drawn when it comes back
    let [seen, stale] = [true, false]
    const drawIfSeen = (): void => {
      stale = !seen
      if (seen) redraw()
    }
    const sight = new IntersectionObserver((entries) => {
      seen = entries.at(-1)?.isIntersecting ?? true
      if (stale) drawIfSeen()
    })
    sight.observe(element)
    const stop = effect(() => {
      for (const { version, baselines, slot } of lanes) [version.value, baselines.value, slot]
      untracked(drawIfSeen)
    })
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: element.clientHeight }))
    resized.observe(element)
    colours.addEventListener('change', rebuild)
    return () => {
      stop()
      sight.disconnect()
      resized.disconnect()
      colours.removeEventListener('change', rebuild)
      plot.destroy()
      reading.value = null
    }
  }, [lanes, measure, axis, reading])

  return <div ref={host} class="plot" role="img" aria-label={summary(lanes, measure, axis)} />
}

function summary(lanes: readonly Lane[], measure: Measure, axis: Axis): string {
  const format = measure.format(lanes)
  const curves = lanes.map((lane) => {
    const [latest] = measure.latest(lane)
    const name = `run ${lane.slot.toUpperCase()}`
    if (latest === null || latest === undefined) return `${name} has not begun`
    const step = formatCount(lane.latest.peek()?.step ?? lane.history.steps.at(-1) ?? 0)
    if (measure.title !== 'Loss') return `${name} ${format(latest)} at step ${step}`
    return `${name} from ${orUnknown(lane.history.losses[0], format)} to ${format(latest)} at step ${step}`
  })
  const against = measure.logX ? '' : ` against ${axis}`
  return `${measure.title}${against}: ${curves.join('; ')}. The same as a table below.`
}
