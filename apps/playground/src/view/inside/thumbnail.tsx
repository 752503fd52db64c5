import { useEffect, useRef } from 'preact/hooks'
import { paint } from '../../picture/heat-map'
import type { Matrix } from '../../picture/matrix'
import { scaleOf } from '../../picture/scale'
import { theme } from '../../picture/theme'

interface Props {
  readonly name: string
  readonly matrix: Matrix
  readonly chosen: boolean
  readonly onChoose: () => void
}

/** A small picture that chooses the large one; each has a scale of its own. */
export function Thumbnail({ name, matrix, chosen, onChoose }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const shown = theme.value
  useEffect(() => {
    if (canvas.current) paint(canvas.current, matrix, scaleOf(Array.from(matrix.values)))
  }, [matrix, shown])
  return (
    <button type="button" class="thumbnail" aria-pressed={chosen} onClick={onChoose}>
      <canvas ref={canvas} />
      <span>{name}</span>
    </button>
  )
}
