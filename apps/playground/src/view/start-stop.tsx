interface Props {
  /** What the form is sent for. */
  readonly start: string
  readonly busy: boolean
  readonly ready?: boolean
  readonly onStop: () => void
}

/** The buttons of a form whose work takes a while and can be stopped. */
export function StartStop({ start, busy, ready = true, onStop }: Props) {
  return (
    <div class="buttons">
      <button type="submit" class="primary" disabled={busy || !ready}>
        {start}
      </button>
      <button type="button" disabled={!busy} onClick={onStop}>
        Stop
      </button>
    </div>
  )
}
