import type { Baseline } from '@mneme/tasks'
import type uPlot from 'uplot'
import type { Lane } from '../lane'
import type { Measure } from './measures'
import type { Theme } from './plot'

/** Lines nearer to each other than this could not be told apart. */
const leastApart = 0.05

interface Line {
  readonly label: string
  readonly value: number
}

/** The baselines that say something in this quantity, without those that fall on one before. */
function shownBaselines(baselines: readonly Baseline[], measure: Measure): Line[] {
  const lines: Line[] = []
  for (const baseline of baselines) {
    const value = measure.baseline(baseline)
    if (value === undefined || lines.some((line) => Math.abs(line.value - value) < leastApart)) continue
    lines.push({ label: baseline.name.split(/[,(]/, 1)[0]?.trim() ?? baseline.name, value })
  }
  return lines
}

interface Placed extends Line {
  /** In the pixels of the canvas. */
  readonly y: number
}

/** Those of two runs on one task are there once. */
function placed(plot: uPlot, lanes: readonly Lane[], measure: Measure): Placed[] {
  const lines = new Map<string, Line>()
  for (const lane of lanes) {
    for (const line of shownBaselines(lane.baselines.value, measure)) {
      lines.set(`${line.label} ${line.value.toFixed(3)}`, line)
    }
  }
  const { top, height } = plot.bbox
  return Array.from(lines.values(), (line) => ({
    ...line,
    y: Math.round(plot.valToPos(line.value, 'y', true)) + 0.5,
  })).filter(({ y }) => y >= top && y <= top + height)
}

/** Lines across the chart, behind its curves: what a model has to beat. */
export function drawBaselines(plot: uPlot, lanes: readonly Lane[], measure: Measure, theme: Theme): void {
  const { ctx } = plot
  const { left, width } = plot.bbox
  ctx.save()
  ctx.strokeStyle = theme.quiet
  ctx.lineWidth = devicePixelRatio
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio])
  for (const { y } of placed(plot, lanes, measure)) {
    ctx.beginPath()
    ctx.moveTo(left, y)
    ctx.lineTo(left + width, y)
    ctx.stroke()
  }
  ctx.restore()
}

/** Their names and values, in front of the curves. */
export function labelBaselines(plot: uPlot, lanes: readonly Lane[], measure: Measure, theme: Theme): void {
  const { ctx } = plot
  const format = measure.format(lanes)
  const current = lanes[0] && (measure.latest(lanes[0])[0] ?? Number.POSITIVE_INFINITY)
  const right = plot.bbox.left + plot.bbox.width - 6 * devicePixelRatio
  ctx.save()
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`
  ctx.textAlign = 'right'
  ctx.textBaseline = 'bottom'
  ctx.lineJoin = 'round'
  ctx.strokeStyle = theme.paper
  ctx.lineWidth = 4 * devicePixelRatio
  ctx.fillStyle = theme.quiet
  for (const { label, value, y } of placed(plot, lanes, measure)) {
    const text = `${label} ${format(value)}`
    // on the side that the curve is not on
    const textY = current !== undefined && current > value ? y + 14 * devicePixelRatio : y - 2 * devicePixelRatio
    ctx.strokeText(text, right, textY)
    ctx.fillText(text, right, textY)
  }
  ctx.restore()
}
