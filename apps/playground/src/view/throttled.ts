/** Redrawing more often shows nothing more and takes time from training. */
const leastBetweenMs = 250

/** At most one call in an animation frame, and not sooner than the least time after the last. */
export function throttled(f: () => void): { (): void; cancel(): void } {
  let frame = 0
  let timer = 0
  let last = Number.NEGATIVE_INFINITY
  const call = (): void => {
    if (timer !== 0 || frame !== 0) return
    const wait = Math.max(0, last + leastBetweenMs - performance.now())
    timer = window.setTimeout(() => {
      timer = 0
      frame = requestAnimationFrame((now) => {
        frame = 0
        last = now
        f()
      })
    }, wait)
  }
  call.cancel = (): void => {
    clearTimeout(timer)
    cancelAnimationFrame(frame)
  }
  return call
}
