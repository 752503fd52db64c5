import { type Experiment, Run, train } from '@mneme/training'
import { startBackend } from '../backend'
import { resolved } from '../setup'

/** What the page hears while a small model trains. */
export interface TinyStep {
  /** Of the steps since the last message. */
  readonly losses: readonly number[]
  /** Of the last evaluation, where there was one since. */
  readonly accuracy: number | null
}

const mostMs = 15_000
const sendEveryMs = 100

/** Small models are trained fastest without a graphics card, whose calls cost more than they save. */
export async function help(experiment: Experiment, tell: (step: TinyStep) => void): Promise<null> {
  await startBackend('wasm', () => undefined)
  const run = await Run.create(await resolved(experiment))
  const [started, signal] = [performance.now(), new AbortController()]
  let losses: number[] = []
  let sentMs = started
  for await (const event of train(run, { signal: signal.signal })) {
    const now = performance.now()
    if (now - started > mostMs) signal.abort()
    if (event.type === 'step') losses.push(event.loss)
    const accuracy = event.type === 'evaluation' ? event.tokenAcc : null
    if (accuracy === null && now - sentMs < sendEveryMs) continue
    tell({ losses, accuracy })
    losses = []
    sentMs = now
  }
  tell({ losses, accuracy: (await run.evaluate()).tokenAcc })
  run.dispose()
  return null
}
