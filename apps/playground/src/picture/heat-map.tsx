import { useEffect, useRef, useState } from 'preact/hooks'
import type { Matrix } from './matrix'
import { valueAt } from './matrix'
import { MatrixTable } from './matrix-table'
import { colourOf, type Scale, scaleOf, shortNumber } from './scale'
import { ScaleLegend } from './scale-legend'
import { theme } from './theme'

export interface Cell {
  readonly row: number
  readonly column: number
}

interface Props {
  /** What is shown, in words; the first thing a screen reader says. */
  readonly title: string
  readonly matrix: Matrix
  readonly scale?: Scale
  /** What rows and columns are: `read by`, `written at`. */
  readonly axes: { readonly rows: string; readonly columns: string }
  /** Cell that is marked from outside. */
  readonly marked?: Cell | null
  readonly onPoint?: (cell: Cell | null) => void
  readonly tall?: boolean
}

/** A picture of a matrix whose values can be read with a mouse, a finger or the arrow keys, and as a table. */
export function HeatMap({
  title,
  matrix,
  scale = scaleOf(Array.from(matrix.values)),
  axes,
  marked,
  onPoint,
  tall,
}: Props) {
  const [pointed, setPointed] = useState<Cell | null>(null)
  const cell = inside(pointed, matrix) ?? inside(marked ?? null, matrix)
  const point = (next: Cell | null): void => {
    setPointed(next)
    onPoint?.(next)
  }
  return (
    <figure class={tall ? 'heat tall' : 'heat'}>
      <HeatCanvas title={title} matrix={matrix} scale={scale} cell={cell} onPoint={point} />
      <figcaption>
        <ScaleLegend scale={scale} />
        <output class="reading">{cell === null ? hint(axes) : words(matrix, cell, axes)}</output>
      </figcaption>
      <MatrixTable title={title} matrix={matrix} axes={axes} />
    </figure>
  )
}

const hint = ({ rows, columns }: Props['axes']): string =>
  `Down: ${rows}. Across: ${columns}. Point at a cell to read it.`

function words(matrix: Matrix, { row, column }: Cell, axes: Props['axes']): string {
  const value = shortNumber(valueAt(matrix, row, column))
  return `${axes.rows} ${matrix.rowName(row)}, ${axes.columns} ${matrix.columnName(column)}: ${value}`
}

function inside(cell: Cell | null, { rows, columns }: Matrix): Cell | null {
  return cell !== null && cell.row < rows && cell.column < columns ? cell : null
}

interface CanvasProps {
  readonly title: string
  readonly matrix: Matrix
  readonly scale: Scale
  readonly cell: Cell | null
  readonly onPoint: (cell: Cell | null) => void
}

function HeatCanvas({ title, matrix, scale, cell, onPoint }: CanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const shown = theme.value
  useEffect(() => {
    const element = canvas.current
    if (element === null) return
    const draw = (): void => paint(element, matrix, scale, cell)
    draw()
    const observer = new ResizeObserver(draw)
    observer.observe(element)
    return () => observer.disconnect()
  }, [matrix, scale, cell, shown])
  const { rows, columns } = matrix
  const at = (event: PointerEvent): Cell => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect()
    const part = (offset: number, size: number, count: number): number =>
      Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)))
    return {
      row: part(event.clientY - box.top, box.height, rows),
      column: part(event.clientX - box.left, box.width, columns),
    }
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const move = moves[event.key]
    if (move === undefined) return
    event.preventDefault()
    const { row, column } = cell ?? { row: 0, column: 0 }
    const kept = (value: number, count: number): number => Math.min(count - 1, Math.max(0, value))
    onPoint({ row: kept(row + move[0], rows), column: kept(column + move[1], columns) })
  }
  return (
    <canvas
      ref={canvas}
      role="img"
      aria-label={`${title}: ${rows} by ${columns}, from ${shortNumber(scale.low)} to ${shortNumber(scale.high)}. Arrow keys read values.`}
      tabIndex={0}
      onPointerMove={(event) => onPoint(at(event))}
      onPointerDown={(event) => onPoint(at(event))}
      onPointerLeave={() => onPoint(null)}
      onKeyDown={onKeyDown}
      onBlur={() => onPoint(null)}
    />
  )
}

const moves: Readonly<Record<string, readonly [row: number, column: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
}

/** Every cell is a rectangle of whole pixels as far as they go; values are never blended. */
export function paint(canvas: HTMLCanvasElement, matrix: Matrix, scale: Scale, cell: Cell | null = null): void {
  const { rows, columns } = matrix
  const ratio = devicePixelRatio
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)]
  if (width === 0 || height === 0 || rows === 0 || columns === 0) return
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext('2d')
  if (context === null) return
  const image = new ImageData(columns, rows)
  for (let i = 0; i < rows * columns; i++) {
    image.data.set([...colourOf(scale, matrix.values[i] as number, theme.value), 255], 4 * i)
  }
  const small = new OffscreenCanvas(columns, rows)
  small.getContext('2d')?.putImageData(image, 0, 0)
  context.imageSmoothingEnabled = false
  context.drawImage(small, 0, 0, width, height)
  if (cell === null) return
  const [w, h] = [width / columns, height / rows]
  const box = [cell.column * w, cell.row * h, w, h] as const
  const ink = getComputedStyle(canvas)
  for (const [name, line] of [
    ['--paper', 4 * ratio],
    ['--ink', 2 * ratio],
  ] as const) {
    context.strokeStyle = ink.getPropertyValue(name)
    context.lineWidth = line
    context.strokeRect(...box)
  }
}
