export interface Throttled {
  (): void
  cancel(): void
}

/** At most one call in so many milliseconds, and none is lost: the first comes in the next turn, the last after a wait. */
export function throttled(f: () => void, betweenMs: number): Throttled {
  let timer: ReturnType<typeof setTimeout> | null = null
  let last = Number.NEGATIVE_INFINITY
  const due = (): void => {
    timer = null
    last = performance.now()
    f()
  }
  const cancel = (): void => {
    if (timer !== null) clearTimeout(timer)
    timer = null
  }
  const call = (): void => {
    timer ??= setTimeout(due, Math.max(0, last + betweenMs - performance.now()))
  }
  return Object.assign(call, { cancel })
}
