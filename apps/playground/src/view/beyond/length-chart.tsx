import type { Slot } from '../../experiment/address'
import { formatCount } from '../format'
import { dashOf } from '../run-style'

export interface Line {
  readonly slot: Slot
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** From zero up to a bound, or to the largest value where there is none; or over whole powers. */
export type Scale = { readonly upTo: number | null } | { readonly powersOf: number }

interface Props {
  readonly title: string
  readonly format: (value: number) => string
  readonly scale: Scale
  readonly lines: readonly Line[]
}

const size = { width: 360, height: 200, left: 70, right: 12, top: 10, bottom: 30 }

/** A small chart over a logarithmic axis of tokens. */
export function LengthChart({ title, format, scale, lines }: Props) {
  const all = lines.flatMap(({ points }) => points)
  if (all.length === 0) return null
  const [low, high] = [Math.min(...all.map(({ x }) => x)), Math.max(...all.map(({ x }) => x))]
  const spread = Math.max(1e-9, Math.log(high / low))
  const [right, bottom] = [size.width - size.right, size.height - size.bottom]
  const x = (length: number): number =>
    high === low ? (size.left + right) / 2 : size.left + (Math.log(length / low) / spread) * (right - size.left)
  const { ticks, place } = upright(
    scale,
    all.map((point) => point.y),
  )
  const y = (value: number): number => bottom - place(value) * (bottom - size.top)
  const last = lines
    .flatMap(({ slot, points }) => {
      const end = points.at(-1)
      return end === undefined ? [] : [`run ${slot.toUpperCase()} ${format(end.y)} at ${formatCount(end.x)} tokens`]
    })
    .join('; ')
  return (
    <figure class="line-chart">
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label={`${title} against tokens of a row: ${last}. The same as a table below.`}
      >
        {ticks.map((tick) => (
          <g key={tick}>
            <line x1={size.left} x2={right} y1={y(tick)} y2={y(tick)} />
            <text x={size.left - 6} y={y(tick) + 4} text-anchor="end">
              {tick === 0 ? '0' : format(tick)}
            </text>
          </g>
        ))}
        {[...new Set([low, high])].map((length) => (
          <text
            key={length}
            x={x(length)}
            y={bottom + 18}
            text-anchor={length === low && low !== high ? 'start' : 'end'}
          >
            {formatCount(length)} tokens
          </text>
        ))}
        {lines.map(({ slot, points }) => (
          <g key={slot} class={`run-${slot}`}>
            <polyline
              points={points.map((point) => `${x(point.x)},${y(point.y)}`).join(' ')}
              stroke-dasharray={dashOf(slot)}
            />
            {points.map((point) => (
              <circle key={point.x} cx={x(point.x)} cy={y(point.y)} r="3.5">
                <title>{`${formatCount(point.x)} tokens: ${format(point.y)}`}</title>
              </circle>
            ))}
          </g>
        ))}
      </svg>
    </figure>
  )
}

interface Upright {
  readonly ticks: readonly number[]
  /** From 0 at the bottom to 1 at the top. */
  readonly place: (value: number) => number
}

function upright(scale: Scale, values: readonly number[]): Upright {
  if ('upTo' in scale) {
    const top = scale.upTo ?? Math.max(1e-9, ...values) * 1.1
    return { ticks: [0, top / 2, top], place: (value) => value / top }
  }
  const power = (value: number): number => Math.log(value) / Math.log(scale.powersOf)
  // zero, which has no place on such a scale, is drawn at its lower end
  const drawn = values.filter((value) => value > 0)
  const low = Math.floor(power(Math.min(...drawn, ...(drawn.length === 0 ? [1] : []))))
  const high = Math.max(low + 1, Math.ceil(power(Math.max(1e-12, ...drawn))))
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, i) => scale.powersOf ** (low + i)),
    place: (value) => (value > 0 ? (power(value) - low) / (high - low) : 0),
  }
}
