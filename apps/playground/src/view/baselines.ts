import type { Baseline } from '@mneme/tasks'
import type uPlot from 'uplot'
import type { Lane } from '../lane'
import type { Theme } from './plot'

interface Line {
  readonly label: string
  readonly loss: number
}

/** Lines nearer to each other than this could not be told apart. */
const leastApart = 0.05

/** The baselines that have a loss, without those that fall on one before. */
export function shownBaselines(baselines: readonly Baseline[]): Line[] {
  const lines: Line[] = []
  for (const { name, lossNats } of baselines) {
    if (lossNats === undefined || lines.some(({ loss }) => Math.abs(loss - lossNats) < leastApart)) continue
    lines.push({ label: name.split(/[,(]/, 1)[0]?.trim() ?? name, loss: lossNats })
  }
  return lines
}

/** Labelled lines across the chart: what a model has to beat. Those of two runs on one task are drawn once. */
export function drawBaselines(plot: uPlot, lanes: readonly Lane[], theme: Theme): void {
  const drawn = new Map<string, Line>()
  for (const lane of lanes) {
    for (const line of shownBaselines(lane.baselines.value)) drawn.set(`${line.label} ${line.loss.toFixed(3)}`, line)
  }
  const { ctx } = plot
  const current = lanes[0]?.history.recentLoss() ?? Number.POSITIVE_INFINITY
  const { left, width, top, height } = plot.bbox
  const scale = devicePixelRatio
  ctx.save()
  ctx.font = `${12 * scale}px system-ui, sans-serif`
  ctx.textAlign = 'right'
  ctx.textBaseline = 'bottom'
  ctx.lineJoin = 'round'
  for (const { label, loss } of drawn.values()) {
    const y = Math.round(plot.valToPos(loss, 'y', true)) + 0.5
    if (y < top || y > top + height) continue
    ctx.strokeStyle = theme.quiet
    ctx.lineWidth = scale
    ctx.setLineDash([6 * scale, 4 * scale])
    ctx.beginPath()
    ctx.moveTo(left, y)
    ctx.lineTo(left + width, y)
    ctx.stroke()
    const text = `${label} ${loss.toFixed(2)}`
    // on the side that the curve is not on
    const textY = current > loss ? y + 14 * scale : y - 2 * scale
    ctx.setLineDash([])
    ctx.strokeStyle = theme.paper
    ctx.lineWidth = 4 * scale
    ctx.strokeText(text, left + width - 6 * scale, textY)
    ctx.fillStyle = theme.quiet
    ctx.fillText(text, left + width - 6 * scale, textY)
  }
  ctx.restore()
}
