import { type Matrix, valueAt } from '../../picture/matrix'
import { colourOf, type Scale } from '../../picture/scale'
import { theme } from '../../picture/theme'

/** Weaker lines than this share of the strongest are not drawn. */
const weakest = 0.08
const rowHeight = 15
const [left, right, width] = [92, 248, 340]

interface Props {
  readonly matrix: Matrix
  readonly scale: Scale
  /** The row whose lines are drawn; null for all. */
  readonly row: number | null
}

/** Lines from tokens that read, on the right, to those that they read, on the left; the stronger the wider. */
export function Links({ matrix, scale, row }: Props) {
  const { rows, columns, rowName, columnName } = matrix
  const height = Math.max(rows, columns) * rowHeight + 8
  const reach = Math.max(Math.abs(scale.low), Math.abs(scale.high)) || 1
  const y = (i: number): number => i * rowHeight + 12
  const lines = Array.from({ length: rows * columns }, (_, i) => ({
    from: Math.floor(i / columns),
    to: i % columns,
    value: valueAt(matrix, Math.floor(i / columns), i % columns),
  })).filter(({ from, value }) => (row === null || from === row) && Math.abs(value) > weakest * reach)
  return (
    <figure class="links">
      <div class="links-box">
        <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
          {lines.map(({ from, to, value }) => (
            <path
              key={`${from} ${to}`}
              d={`M${right} ${y(from) - 4}C${right - 60} ${y(from) - 4} ${left + 60} ${y(to) - 4} ${left} ${y(to) - 4}`}
              stroke={`rgb(${colourOf(scale, value, theme.value).join(' ')})`}
              stroke-width={0.5 + (3 * Math.abs(value)) / reach}
            />
          ))}
          {Array.from({ length: columns }, (_, i) => (
            <text key={columnName(i)} x={left - 6} y={y(i)} text-anchor="end">
              {columnName(i)}
            </text>
          ))}
          {Array.from({ length: rows }, (_, i) => (
            <text key={rowName(i)} x={right + 6} y={y(i)} class={i === row ? 'chosen' : undefined}>
              {rowName(i)}
            </text>
          ))}
        </svg>
      </div>
      <figcaption class="quiet">
        {row === null ? 'Every place' : `Token ${rowName(row)}`}, on the right, and what it reads, on the left. The map
        beside has the values.
      </figcaption>
    </figure>
  )
}
