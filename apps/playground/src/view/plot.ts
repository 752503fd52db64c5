import uPlot from 'uplot'
import type { Slot } from '../experiment/address'
import type { Axis } from '../experiment/options'
import type { Lane } from '../lane'
import { drawBaselines, labelBaselines } from './baselines'
import { formatCount } from './format'
import { type Measure, plotData } from './measures'
import { type RunStyle, runStyles } from './run-style'

export interface Theme {
  readonly ink: string
  readonly quiet: string
  readonly grid: string
  readonly paper: string
  readonly runs: Readonly<Record<Slot, RunStyle>>
}

/** Values under the cursor, a row of series for each run; null where there is none. */
export interface Reading {
  readonly x: number
  readonly values: readonly (readonly (number | null)[])[]
}

const chartFont = '12px system-ui, sans-serif'

export function readTheme(element: Element): Theme {
  const style = getComputedStyle(element)
  const value = (name: string): string => style.getPropertyValue(name).trim()
  return {
    ink: value('--ink'),
    quiet: value('--quiet'),
    grid: value('--line'),
    paper: value('--paper'),
    runs: runStyles(element),
  }
}

export interface PlotOptions {
  readonly host: HTMLElement
  readonly lanes: readonly Lane[]
  readonly measure: Measure
  readonly axis: Axis
  readonly theme: Theme
  readonly onRead: (reading: Reading | null) => void
}

function axisStyle(theme: Theme): uPlot.Axis {
  return {
    stroke: theme.quiet,
    font: chartFont,
    labelFont: chartFont,
    labelSize: 18,
    grid: { stroke: theme.grid, width: 1 },
    ticks: { stroke: theme.grid, width: 1, size: 4 },
  }
}

/** Marks at 1, 2, 4, and so on. */
const doublings: uPlot.Axis = {
  splits: (_, __, min, max) => {
    const [low, high] = [Math.ceil(Math.log2(min)), Math.floor(Math.log2(max))]
    return Array.from({ length: Math.max(0, high - low + 1) }, (_, i) => 2 ** (low + i))
  },
  filter: (_, splits) => splits,
  values: (_, splits) => splits.map(formatCount),
}

export function makePlot({ host, lanes, measure, axis, theme, onRead }: PlotOptions): uPlot {
  const style = axisStyle(theme)
  const series = lanes.map(({ slot }) => measure.series(theme.runs[slot], theme.paper))
  const options: uPlot.Options = {
    width: host.clientWidth,
    height: host.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: measure.logX
        ? {
            time: false,
            distr: 3,
            log: 2,
            range: (_, min, max) => [Math.max(0.8, (min ?? 1) / 1.4), (max ?? 16) * 1.4],
          }
        : { time: false, range: (_, __, max) => [0, Math.max(axis === 'seconds' ? 2 : 20, max ?? 0)] },
      y: { range: () => measure.range(lanes) },
    },
    axes: [
      { ...style, label: measure.xLabel(lanes, axis), size: 34, ...(measure.logX && doublings) },
      { ...style, label: measure.yLabel(lanes), size: 46 },
    ],
    series: [{}, ...series.flat()],
    hooks: {
      drawAxes: [(plot) => drawBaselines(plot, lanes, measure, theme)],
      draw: [(plot) => labelBaselines(plot, lanes, measure, theme)],
      setCursor: [
        (plot) =>
          onRead(
            readingAt(
              plot,
              series.map(({ length }) => length),
            ),
          ),
      ],
    },
  }
  return new uPlot(options, plotData(measure, lanes, axis), host)
}

/** @param counts series of each run */
function readingAt(plot: uPlot, counts: readonly number[]): Reading | null {
  const { idx } = plot.cursor
  const x = idx === null || idx === undefined ? undefined : plot.data[0][idx]
  if (idx === null || idx === undefined || x === undefined) return null
  let next = 1
  const values = counts.map((count) => {
    const own = Array.from({ length: count }, (_, i) => nearest(plot.data[next + i], idx))
    next += count
    return own
  })
  return { x, values }
}

/** The value at an index, or the last one before it. */
function nearest(values: uPlot.AlignedData[number] | undefined, index: number): number | null {
  for (let i = index; i >= 0; i--) {
    const value = values?.[i]
    if (value !== null && value !== undefined) return value
  }
  return null
}
