import uPlot from 'uplot'
import { smoothed } from '../history'
import type { Lane } from '../lane'
import { drawBaselines, shownBaselines } from './baselines'

export interface Theme {
  readonly ink: string
  readonly quiet: string
  readonly grid: string
  readonly paper: string
  readonly runs: readonly [string, string]
}

/** Values under the cursor, a row of series for each run; null where there is none. */
export interface Reading {
  readonly step: number
  readonly values: readonly { readonly training: number | null; readonly validation: number | null }[]
}

const seriesOfRun = 3
const mostDots = 30
const font = '12px system-ui, sans-serif'

export function readTheme(element: Element): Theme {
  const style = getComputedStyle(element)
  const value = (name: string): string => style.getPropertyValue(name).trim()
  return {
    ink: value('--ink'),
    quiet: value('--quiet'),
    grid: value('--line'),
    paper: value('--paper'),
    runs: [value('--run-a'), value('--run-b')],
  }
}

/** Training loss, the same smoothed, and validation loss of each run, over one axis of steps. */
export function plotData(lanes: readonly Lane[]): uPlot.AlignedData {
  const tables = lanes.flatMap(({ history: { steps, losses, evaluations } }): uPlot.AlignedData[] => [
    [steps, losses, smoothed(losses)],
    [evaluations.map(({ step }) => step), evaluations.map(({ lossNats }) => lossNats)],
  ])
  return uPlot.join(tables)
}

function seriesFor(colour: string, filled: boolean, paper: string): uPlot.Series[] {
  return [
    { stroke: `${colour}40`, width: 1, points: { show: false }, spanGaps: true },
    { stroke: colour, width: 2.5, points: { show: false }, spanGaps: true },
    {
      stroke: colour,
      width: 1,
      dash: [2, 4],
      spanGaps: true,
      points: {
        show: true,
        filter: (plot, series) => someOf(plot.data[series] ?? []),
        size: filled ? 7 : 8,
        width: filled ? 1 : 2,
        stroke: colour,
        fill: filled ? colour : paper,
      },
    },
  ]
}

/** Indices of the points that get a dot: with many, every so many, and always the last. */
function someOf(values: uPlot.AlignedData[number]): number[] {
  const all = Array.from(values.keys()).filter((i) => values[i] !== null && values[i] !== undefined)
  const every = Math.ceil(all.length / mostDots)
  return all.filter((_, i) => (all.length - 1 - i) % every === 0)
}

/** From the lowest of everything drawn to the highest of the curves and baselines, with a little air. */
function lossRange(lanes: readonly Lane[]): [number, number] {
  const drawn = lanes.flatMap((lane) => [
    ...smoothed(lane.history.losses),
    ...lane.history.evaluations.map(({ lossNats }) => lossNats),
    ...shownBaselines(lane.baselines.value).map(({ loss }) => loss),
  ])
  const [low, high] = [Math.min(...drawn), Math.max(...drawn)]
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 5]
  const air = Math.max(0.05, (high - low) * 0.06)
  return [Math.max(0, low - air), high + air]
}

export interface PlotOptions {
  readonly host: HTMLElement
  readonly lanes: readonly Lane[]
  readonly theme: Theme
  readonly onRead: (reading: Reading | null) => void
}

export function makePlot({ host, lanes, theme, onRead }: PlotOptions): uPlot {
  const axis: uPlot.Axis = {
    stroke: theme.quiet,
    font,
    labelFont: font,
    labelSize: 18,
    grid: { stroke: theme.grid, width: 1 },
    ticks: { stroke: theme.grid, width: 1, size: 4 },
  }
  const options: uPlot.Options = {
    width: host.clientWidth,
    height: host.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: (_, __, max) => [0, Math.max(20, max ?? 0)] },
      y: { range: () => lossRange(lanes) },
    },
    axes: [
      { ...axis, label: 'step', size: 34 },
      { ...axis, label: 'loss, nats per token', size: 46 },
    ],
    series: [{}, ...lanes.flatMap((_, i) => seriesFor(theme.runs[i] ?? theme.ink, i === 0, theme.paper))],
    hooks: {
      drawAxes: [(plot) => drawBaselines(plot, lanes, theme)],
      setCursor: [(plot) => onRead(readingAt(plot, lanes.length))],
    },
  }
  return new uPlot(options, plotData(lanes), host)
}

function readingAt(plot: uPlot, runs: number): Reading | null {
  const { idx } = plot.cursor
  const step = idx === null || idx === undefined ? undefined : plot.data[0][idx]
  if (idx === null || idx === undefined || step === undefined) return null
  const values = Array.from({ length: runs }, (_, run) => ({
    training: nearest(plot.data[2 + run * seriesOfRun], idx),
    validation: nearest(plot.data[3 + run * seriesOfRun], idx),
  }))
  return { step, values }
}

/** The value at an index, or the last one before it. */
function nearest(values: uPlot.AlignedData[number] | undefined, index: number): number | null {
  for (let i = index; i >= 0; i--) {
    const value = values?.[i]
    if (value !== null && value !== undefined) return value
  }
  return null
}
