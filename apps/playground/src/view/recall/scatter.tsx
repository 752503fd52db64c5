import { formatBytes } from '../format'

export interface Point {
  readonly x: number
  /** In [0, 1]. */
  readonly y: number
  readonly name: string
}

export interface Group {
  readonly name: string
  readonly points: readonly Point[]
}

const size = { width: 760, height: 410, left: 86, right: 44, top: 16, bottom: 62 }
const colours = ['--run-a', '--run-b', '--run-c', '--run-d'] as const

/** Shapes around the origin, about as large as each other. */
const shapes = [
  'M -6 0 A 6 6 0 1 1 6 0 A 6 6 0 1 1 -6 0',
  'M -5.5 -5.5 H 5.5 V 5.5 H -5.5 Z',
  'M 0 -7 L 6.5 5 H -6.5 Z',
  'M 0 -7.5 L 6 0 L 0 7.5 L -6 0 Z',
  'M -6.5 -5 H 6.5 L 0 7 Z',
] as const

const colourOf = (group: number): string => `var(${colours[group % colours.length]})`
const shapeOf = (group: number): string => shapes[group % shapes.length] as string

/** Points over a logarithmic axis of bytes, joined within a group; told apart by hue and shape. */
export function Scatter({ groups }: { readonly groups: readonly Group[] }) {
  const xs = groups.flatMap(({ points }) => points.map(({ x }) => Math.max(1, x)))
  const [low, high] = [Math.floor(Math.log2(Math.min(...xs)) - 0.3), Math.ceil(Math.log2(Math.max(...xs)) + 0.3)]
  const right = size.width - size.right
  const bottom = size.height - size.bottom
  const x = (bytes: number): number =>
    size.left + ((Math.log2(Math.max(1, bytes)) - low) / (high - low)) * (right - size.left)
  const y = (share: number): number => bottom - share * (bottom - size.top)
  const every = Math.max(1, Math.ceil((high - low) / 8))
  const ticks = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => 2 ** (low + i * every))
  return (
    <figure class="scatter">
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label="Accuracy against bytes of state, by paper. The same as a table below."
      >
        {[0, 0.25, 0.5, 0.75, 1].map((share) => (
          <g key={share} class="grid">
            <line x1={size.left} x2={right} y1={y(share)} y2={y(share)} />
            <text x={size.left - 8} y={y(share) + 4} text-anchor="end">
              {100 * share} %
            </text>
          </g>
        ))}
        {ticks.map((bytes) => (
          <g key={bytes} class="grid">
            <line x1={x(bytes)} x2={x(bytes)} y1={size.top} y2={bottom} />
            <text x={x(bytes)} y={bottom + 26} text-anchor="middle">
              {formatBytes(bytes).replace('.0', '')}
            </text>
          </g>
        ))}
        <text class="axis" x={(size.left + right) / 2} y={size.height - 8} text-anchor="middle">
          state of one row, bytes
        </text>
        {groups.map(({ name, points }, i) => (
          <g key={name} style={{ color: colourOf(i) }}>
            <polyline points={points.map((point) => `${x(point.x)},${y(point.y)}`).join(' ')} />
            {points.map((point, at) => (
              <path key={at} d={shapeOf(i)} transform={`translate(${x(point.x)} ${y(point.y)})`}>
                <title>{point.name}</title>
              </path>
            ))}
          </g>
        ))}
      </svg>
      <figcaption>
        <ul>
          {groups.map(({ name }, i) => (
            <li key={name}>
              <svg viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true" style={{ color: colourOf(i) }}>
                <path d={shapeOf(i)} />
              </svg>
              {name}
            </li>
          ))}
        </ul>
      </figcaption>
    </figure>
  )
}
