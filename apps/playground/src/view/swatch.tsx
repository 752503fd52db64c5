import type { Slot } from '../experiment/address'
import { dashOf } from './run-style'

/** The line of a run as its curves have it. */
export function Swatch({ slot }: { readonly slot: Slot }) {
  return (
    <svg class={`swatch run-${slot}`} viewBox="0 0 28 6" width="28" height="6" aria-hidden="true" focusable="false">
      <line x1="0" y1="3" x2="28" y2="3" stroke="currentColor" stroke-width="3" stroke-dasharray={dashOf(slot)} />
    </svg>
  )
}
