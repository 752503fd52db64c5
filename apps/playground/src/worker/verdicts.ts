import { recallSelfTest, type SelfTestReport, selfTestOnce } from '@mneme/core-tensor'
import { browserStore } from '@mneme/core-tensor/io/browser-store'

const folder = 'mneme-selftest'

/** What kernels can go wrong by: the browser, the graphics card with its driver, and the kernels themselves. */
function deviceOf(adapter: object | null): string {
  return [navigator.userAgent, JSON.stringify(adapter), __KERNELS__].join(' ')
}

/**
 * Takes kernels of the current backend out of use that have failed their self-test on this device.
 *
 * @param test tests them first if that was never done here; some seconds, and it needs the cpu backend
 * @returns ops that run by their references instead
 */
export async function leaveOut(adapter: object | null, test: boolean): Promise<readonly string[]> {
  try {
    const store = await browserStore(folder)
    const device = deviceOf(adapter)
    // of several runs that start at once, one tests and the others wait for its verdicts
    const report = test
      ? await navigator.locks.request(folder, () => selfTestOnce(store, device))
      : await recallSelfTest(store, device)
    return (report?.verdicts ?? []).flatMap(({ op, verdict }) => (isFailure(verdict) ? [op] : []))
  } catch (error) {
    // without storage there is nothing to go by: kernels are used as on a device that was never tested
    console.debug(`self-test: ${(error as Error).message}`)
    return []
  }
}

/** Tests every kernel of the current backend, whatever was found before; runs that start from now on go by it. */
export async function testAnew(adapter: object | null): Promise<SelfTestReport> {
  const store = await browserStore(folder)
  const { write } = store
  return selfTestOnce({ read: async () => null, write }, deviceOf(adapter))
}

function isFailure(verdict: SelfTestReport['verdicts'][number]['verdict']): boolean {
  return verdict === 'differs' || verdict === 'fails'
}
