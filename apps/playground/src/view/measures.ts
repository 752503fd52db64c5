import type { Baseline } from '@mneme/tasks'
import type { Evaluation } from '@mneme/training'
import uPlot from 'uplot'
import type { Axis, Chart } from '../experiment/options'
import { smoothed } from '../history'
import type { Lane } from '../lane'
import { formatLoss, formatShare } from './format'
import type { RunStyle } from './run-style'

/** A quantity that the chart can show of each run. */
export interface Measure {
  readonly title: string
  /** Heads of the legend's columns, and the series of a run that each reads. */
  columns(lanes: readonly Lane[]): readonly { readonly name: string; readonly series: number }[]
  /** The latest value of each column. */
  latest(lane: Lane): readonly (number | null | undefined)[]
  format(lanes: readonly Lane[]): (value: number) => string
  yLabel(lanes: readonly Lane[]): string
  xLabel(lanes: readonly Lane[], axis: Axis): string
  readonly logX: boolean
  /** One table of x and the run's series; more where they have other x. */
  data(lane: Lane, axis: Axis): uPlot.AlignedData[]
  series(style: RunStyle, paper: string): uPlot.Series[]
  range(lanes: readonly Lane[]): [number, number]
  /** What a baseline reaches in this quantity. */
  baseline(baseline: Baseline): number | undefined
}

/** Where a step stands on the axis. */
export function place(lane: Lane, axis: Axis, step: number): number {
  if (axis === 'steps') return step
  if (axis === 'tokens') return step * (lane.facts.value?.tokensPerStep ?? 1)
  return lane.history.timeAt(step) / 1000
}

const axisLabels: Record<Axis, string> = { steps: 'step', tokens: 'tokens trained on', seconds: 'seconds of training' }
const mostDots = 30

/** Indices of the points that get a dot: with many, every so many, and always the last. */
function someOf(values: uPlot.AlignedData[number]): number[] {
  const all = Array.from(values.keys()).filter((i) => values[i] !== null && values[i] !== undefined)
  const every = Math.ceil(all.length / mostDots)
  return all.filter((_, i) => (all.length - 1 - i) % every === 0)
}

function dots({ colour, filled }: RunStyle, paper: string): uPlot.Series.Points {
  return {
    show: true,
    filter: (plot, series) => someOf(plot.data[series] ?? []),
    size: filled ? 7 : 8,
    width: filled ? 1 : 2,
    stroke: colour,
    fill: filled ? colour : paper,
  }
}

function bounded(values: readonly number[], nothing: [number, number]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  if (!Number.isFinite(low) || !Number.isFinite(high)) return nothing
  const air = Math.max(0.05, (high - low) * 0.06)
  return [Math.max(0, low - air), high + air]
}

const loss: Measure = {
  title: 'Loss',
  columns: () => [
    { name: 'training', series: 1 },
    { name: 'validation', series: 2 },
  ],
  latest: (lane) => [lane.history.recentLoss(), lane.evaluation.value?.lossNats],
  format: () => formatLoss,
  yLabel: () => 'loss, nats per token',
  xLabel: (_, axis) => axisLabels[axis],
  logX: false,
  data: (lane, axis) => {
    const { steps, losses, evaluations } = lane.history
    return [
      [steps.map((step) => place(lane, axis, step)), losses, smoothed(losses)],
      [evaluations.map(({ step }) => place(lane, axis, step)), evaluations.map(({ lossNats }) => lossNats)],
    ]
  },
  series: (style, paper) => [
    { stroke: `${style.colour}40`, width: 1, points: { show: false }, spanGaps: true },
    { stroke: style.colour, width: 2.5, dash: [...style.dash], points: { show: false }, spanGaps: true },
    { stroke: style.colour, width: 1, dash: [2, 4], spanGaps: true, points: dots(style, paper) },
  ],
  // from the lowest of everything drawn to the highest of the smoothed curves
  range: (lanes) =>
    bounded(
      lanes.flatMap((lane) => [
        ...smoothed(lane.history.losses),
        ...lane.history.evaluations.map(({ lossNats }) => lossNats),
        ...lane.baselines.value.flatMap(({ lossNats }) => lossNats ?? []),
      ]),
      [0, 5],
    ),
  baseline: ({ lossNats }) => lossNats,
}

const accuracy: Measure = {
  title: 'Accuracy',
  columns: () => [{ name: 'validation accuracy', series: 0 }],
  latest: (lane) => [lane.evaluation.value?.tokenAcc],
  format: () => formatShare,
  yLabel: () => 'share of answers that are right',
  xLabel: (_, axis) => axisLabels[axis],
  logX: false,
  data: (lane, axis) => {
    const { evaluations } = lane.history
    return [[evaluations.map(({ step }) => place(lane, axis, step)), evaluations.map(({ tokenAcc }) => tokenAcc)]]
  },
  series: lineWithDots,
  range: () => [0, 1],
  baseline: ({ accuracy: share }) => share,
}

const distance: Measure = {
  title: 'By distance',
  columns: (lanes) => [{ name: byLoss(lanes) ? 'validation loss' : 'validation accuracy', series: 0 }],
  latest: (lane) => [byLoss([lane]) ? lane.evaluation.value?.lossNats : lane.evaluation.value?.tokenAcc],
  format: (lanes) => (byLoss(lanes) ? formatLoss : formatShare),
  yLabel: (lanes) => (byLoss(lanes) ? 'loss, nats per token' : 'share of answers that are right'),
  xLabel: (lanes) =>
    lanes.every((lane) => lane.evaluation.value?.by?.of === 'distance')
      ? 'tokens since the answer was shown'
      : 'place in the row, tokens',
  logX: true,
  data: (lane) => {
    const spans = lane.evaluation.value?.by?.spans ?? []
    const values = spans.map((span) => (byLoss([lane]) ? span.lossNats : span.tokenAcc))
    return [[spans.map(({ from, to }) => Math.sqrt(from * to)), values]]
  },
  series: lineWithDots,
  range: (lanes) => {
    if (!byLoss(lanes)) return [0, 1]
    return bounded(
      lanes.flatMap(({ evaluation }) => (evaluation.value?.by?.spans ?? []).map(({ lossNats }) => lossNats)),
      [0, 5],
    )
  },
  baseline: () => undefined,
}

function lineWithDots(style: RunStyle, paper: string): uPlot.Series[] {
  return [{ stroke: style.colour, width: 2, dash: [...style.dash], spanGaps: true, points: dots(style, paper) }]
}

/** Text is judged by its loss, answers by whether they are right. */
function byLoss(lanes: readonly Lane[]): boolean {
  return lanes.some(({ facts }) => facts.value?.metric === 'lossNats')
}

export const measures: Readonly<Record<Chart, Measure>> = { loss, accuracy, distance }

/** The series of all runs over one axis. */
export function plotData(measure: Measure, lanes: readonly Lane[], axis: Axis): uPlot.AlignedData {
  return uPlot.join(lanes.flatMap((lane) => measure.data(lane, axis)))
}

/** An evaluation's spans, with their bounds in words. */
export function spansOf(
  evaluation: Evaluation | null,
): { readonly name: string; readonly share: number; readonly loss: number }[] {
  return (evaluation?.by?.spans ?? []).map(({ from, to, tokenAcc, lossNats }) => ({
    name: from === to ? String(from) : `${from} to ${to}`,
    share: tokenAcc,
    loss: lossNats,
  }))
}
