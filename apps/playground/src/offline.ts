/** Lets the page open without a network from the next time on. Waits until everything that is shown has loaded. */
export function keepForOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  addEventListener('load', () => {
    // without it, the page works as before, with a network
    navigator.serviceWorker.register('./sw.js').catch((error: Error) => console.debug(`offline: ${error.message}`))
  })
}
