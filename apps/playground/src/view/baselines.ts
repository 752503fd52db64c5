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

/** Labelled lines across the chart: what a model has to beat. Those of two runs on one task are drawn once. */
export function drawBaselines(plot: uPlot, lanes: readonly Lane[], measure: Measure, theme: Theme): void {
  const drawn = new Map<string, Line>()
  for (const lane of lanes) {
    for (const line of shownBaselines(lane.baselines.value, measure)) {
      drawn.set(`${line.label} ${line.value.toFixed(3)}`, line)
    }
  }
  const { ctx } = plot
  const format = measure.format(lanes)
  const current = lanes[0] && (measure.latest(lanes[0])[0] ?? Number.POSITIVE_INFINITY)
  const { left, width, top, height } = plot.bbox
  const scale = devicePixelRatio
  ctx.save()
  ctx.font = `${12 * scale}px system-ui, sans-serif`
  ctx.textAlign = 'right'
  ctx.textBaseline = 'bottom'
  ctx.lineJoin = 'round'
  for (const { label, value } of drawn.values()) {
    const y = Math.round(plot.valToPos(value, 'y', true)) + 0.5
    if (y < top || y > top + height) continue
    ctx.strokeStyle = theme.quiet
    ctx.lineWidth = scale
    ctx.setLineDash([6 * scale, 4 * scale])
    ctx.beginPath()
    ctx.moveTo(left, y)
    ctx.lineTo(left + width, y)
    ctx.stroke()
    const text = `${label} ${format(value)}`
    // on the side that the curve is not on
    const textY = current !== undefined && current > value ? y + 14 * scale : y - 2 * scale
    ctx.setLineDash([])
    ctx.strokeStyle = theme.paper
    ctx.lineWidth = 4 * scale
    ctx.strokeText(text, left + width - 6 * scale, textY)
    ctx.fillStyle = theme.quiet
    ctx.fillText(text, left + width - 6 * scale, textY)
  }
  ctx.restore()
}
