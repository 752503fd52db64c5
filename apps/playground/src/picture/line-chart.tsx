import { useState } from 'preact/hooks'
import { MatrixTable } from './matrix-table'
import { shortNumber } from './scale'

export interface Series {
  readonly name: string
  readonly values: ArrayLike<number>
}

interface Props {
  readonly title: string
  readonly series: readonly Series[]
  /** What stands along the axis: a token, a step, a distance. */
  readonly along: string
  readonly nameAt: (index: number) => string
  readonly unit: string
  /** Bars from zero instead of lines, for one series. */
  readonly bars?: boolean
  readonly low?: number
  readonly high?: number
  readonly marked?: number | null
  readonly onPoint?: (index: number | null) => void
}

const [width, height, left, bottom, top] = [640, 200, 52, 24, 8]

/** Values along one axis; read with a mouse, a finger or the arrow keys, and as a table. */
export function LineChart(props: Props) {
  const { title, series, along, nameAt, unit, bars = false, marked = null, onPoint } = props
  const [pointed, setPointed] = useState<number | null>(null)
  const length = Math.max(0, ...series.map(({ values }) => values.length))
  const all = series.flatMap(({ values }) => Array.from(values)).filter(Number.isFinite)
  const low = props.low ?? Math.min(0, ...all)
  const high = props.high ?? Math.max(low + 1e-9, ...all)
  const at = pointed ?? marked
  const point = (next: number | null): void => {
    setPointed(next)
    onPoint?.(next)
  }
  const step = (width - left) / Math.max(1, bars ? length : length - 1)
  const x = (i: number): number => left + i * step
  const y = (value: number): number => top + ((high - value) / (high - low)) * (height - top - bottom)
  const nearest = (event: PointerEvent): number => {
    const box = (event.currentTarget as Element).getBoundingClientRect()
    const offset = ((event.clientX - box.left) / box.width) * width - left
    return Math.min(length - 1, Math.max(0, bars ? Math.floor(offset / step) : Math.round(offset / step)))
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (move === undefined) return
    event.preventDefault()
    point(Math.min(length - 1, Math.max(0, (at ?? (move > 0 ? -1 : length)) + move)))
  }
  return (
    <figure class="lines">
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys read values
        tabIndex={0}
        aria-label={`${title}: ${length} values from ${shortNumber(Math.min(...all))} to ${shortNumber(Math.max(...all))} ${unit}. Arrow keys read values.`}
        onPointerMove={(event) => point(nearest(event))}
        onPointerDown={(event) => point(nearest(event))}
        onPointerLeave={() => point(null)}
        onBlur={() => point(null)}
        onKeyDown={onKeyDown}
      >
        {[low, (low + high) / 2, high].map((value) => (
          <g key={value} class="grid">
            <line x1={left} x2={width} y1={y(value)} y2={y(value)} />
          </g>
        ))}
        {low < 0 && high > 0 && <line class="zero" x1={left} x2={width} y1={y(0)} y2={y(0)} />}
        {series.map(({ name, values }, k) =>
          bars ? (
            <g key={name} class={`series-${k}`}>
              {Array.from(values, (value, i) => (
                <rect
                  key={i}
                  class={i === at ? 'bar at' : 'bar'}
                  x={x(i) + step * 0.1}
                  width={step * 0.8}
                  y={Math.min(y(value), y(0))}
                  height={Math.max(0.5, Math.abs(y(value) - y(0)))}
                />
              ))}
            </g>
          ) : (
            <polyline
              key={name}
              class={`curve series-${k}`}
              points={Array.from(values, (value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ')}
            />
          ),
        )}
        {at !== null && at < length && !bars && (
          <line class="cursor" x1={x(at)} x2={x(at)} y1={top} y2={height - bottom} />
        )}
      </svg>
      <span class="ends" aria-hidden="true">
        <span class="high">{shortNumber(high)}</span>
        <span class="low">{shortNumber(low)}</span>
        <span class="first">{length > 0 ? nameAt(0) : ''}</span>
        <span class="last">{length > 1 ? nameAt(length - 1) : ''}</span>
      </span>
      <figcaption>
        {series.length > 1 && (
          <span class="keys">
            {series.map(({ name }, k) => (
              <span key={name} class="key">
                <i class={`series-${k}`} aria-hidden="true" />
                {name}
              </span>
            ))}
          </span>
        )}
        <output class="reading">
          {at === null || at >= length
            ? `Across: ${along}. Up: ${unit}. Point to read a value.`
            : `${along} ${nameAt(at)}: ${series
                .map(({ name, values }) => `${series.length > 1 ? `${name} ` : ''}${shortNumber(values[at] as number)}`)
                .join(', ')} ${unit}`}
        </output>
      </figcaption>
      <MatrixTable
        title={title}
        axes={{ rows: along, columns: unit }}
        matrix={{
          rows: length,
          columns: series.length,
          values: Array.from({ length }, (_, i) => series.map(({ values }) => values[i] as number)).flat(),
          rowName: nameAt,
          columnName: (column) => series[column]?.name ?? '',
        }}
      />
    </figure>
  )
}
