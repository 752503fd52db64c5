import { matMul, randomNormal } from '@tensorflow/tfjs-core'

/** A timing: warm-up apart, median and spread of the rest. */
export interface Timing {
  readonly medianMs: number
  /** Middle half of the samples: third quartile less first. */
  readonly spreadMs: number
  readonly samples: number
}

/**
 * Runs `f` at least three times and for about `budgetMs`, after two runs to warm up. What takes more than two seconds
 * runs once to warm up and once to be timed.
 */
export function timed(f: () => void | Promise<void>, budgetMs = 600): Promise<Timing> {
  return timedWith(
    () => undefined,
    () => f(),
    () => undefined,
    budgetMs,
  )
}

/** The same for what needs something made anew each time, which is not timed. */
export async function timedWith<X>(
  make: () => X,
  f: (x: X) => void | Promise<void>,
  free: (x: X) => void,
  budgetMs = 300,
): Promise<Timing> {
  const once = async (): Promise<number> => {
    const x = make()
    const started = performance.now()
    await f(x)
    const taken = performance.now() - started
    free(x)
    return taken
  }
  const slow = (await once()) > 2000
  if (!slow) await once()
  const samples: number[] = []
  const end = performance.now() + (slow ? 0 : budgetMs)
  while (samples.length < (slow ? 1 : 3) || (performance.now() < end && samples.length < 500)) {
    samples.push(await once())
  }
  samples.sort((a, b) => a - b)
  const at = (share: number): number =>
    samples[Math.min(samples.length - 1, Math.floor(share * samples.length))] as number
  return { medianMs: at(0.5), spreadMs: at(0.75) - at(0.25), samples: samples.length }
}

export interface Machine {
  readonly node: string
  readonly cpu: string
  readonly cores: number
  /** Read plus written, copying 64 MB in one thread. */
  readonly copyGBs: number
  /** `matMul` of 512 x 512 x 512 on the current backend. */
  readonly matMulGflops: number
}

/** What this machine can do at best: the measure that results are set beside. */
export async function machine(): Promise<Machine> {
  const { cpus } = await import('node:os')
  const source = new Float32Array(16 * 1024 * 1024).fill(1)
  const target = new Float32Array(source.length)
  const { medianMs } = await timed(() => target.set(source))
  const [a, b] = [randomNormal([512, 512]), randomNormal([512, 512])]
  const product = await timed(async () => {
    const c = matMul(a, b)
    await c.data()
    c.dispose()
  })
  for (const t of [a, b]) t.dispose()
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    copyGBs: (2 * source.byteLength) / medianMs / 1e6,
    matMulGflops: (2 * 512 ** 3) / product.medianMs / 1e6,
  }
}
