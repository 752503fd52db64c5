/**
 * Lets other work of the event loop run: messages, signals, timers. A resolved promise does not, and on backends that
 * answer at once a training loop would otherwise never hear that it is to stop.
 */
export function nextTurn(): Promise<void> {
  const immediate = (globalThis as { setImmediate?: (f: () => void) => unknown }).setImmediate
  if (immediate !== undefined) return new Promise((resolve) => void immediate(resolve))
  // timers are held back by some milliseconds in browsers, messages are not
  messages ??= channel()
  return messages()
}

let messages: (() => Promise<void>) | null = null

function channel(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel()
  let waiting: (() => void)[] = []
  port1.onmessage = () => {
    const ready = waiting
    waiting = []
    for (const resolve of ready) resolve()
  }
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      port2.postMessage(null)
    })
}

/** Gives way to the event loop, but not more often than every so many milliseconds. */
export function breather(everyMs = 16): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < everyMs) return
    await nextTurn()
    last = performance.now()
  }
}
