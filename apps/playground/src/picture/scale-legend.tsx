import { useEffect, useRef } from 'preact/hooks'
import { paint } from './heat-map'
import { type Scale, shortNumber } from './scale'
import { theme } from './theme'

const steps = 64

/** The colours of a scale with its numbers. */
export function ScaleLegend({ scale }: { readonly scale: Scale }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const { kind, low, high } = scale
  const shown = theme.value
  useEffect(() => {
    const values = Array.from({ length: steps }, (_, i) => low + ((high - low) * i) / (steps - 1))
    const name = (): string => ''
    const matrix = { rows: 1, columns: steps, values, rowName: name, columnName: name }
    if (canvas.current) paint(canvas.current, matrix, { kind, low, high })
  }, [kind, low, high, shown])
  return (
    <span class="scale">
      <span>{shortNumber(low)}</span>
      <canvas
        class="scale-colours"
        ref={canvas}
        role="img"
        aria-label={kind === 'signed' ? 'to, with 0 in the middle,' : 'to'}
      />
      <span>{shortNumber(high)}</span>
    </span>
  )
}
