import { Session } from '@mneme/core-tensor'
import { createModel } from '@mneme/models'
import { memory } from '@tensorflow/tfjs-core'

export interface StreamRow {
  readonly paper: string
  readonly config: string
  readonly points: readonly StreamPoint[]
}

export interface StreamPoint {
  readonly tokens: number
  readonly stateBytes: number
  readonly tensors: number
  readonly processMB: number
  readonly microsecondsPerToken: number
}

/** Decodes tokens one by one and looks at state, tensors and process memory on the way. */
export async function stream(paper: string, config: object, at: readonly number[]): Promise<StreamRow> {
  const model = await createModel(paper, { vocabulary: 64, ...config })
  const session = new Session(model)
  session.feed([1])
  const points: StreamPoint[] = []
  let [done, since] = [0, performance.now()]
  for await (const _ of session.generate({ maxNewTokens: at.at(-1) ?? 0 })) {
    done++
    if (!at.includes(done)) continue
    const before = points.at(-1)?.tokens ?? 0
    const spent = performance.now() - since
    globalThis.gc?.()
    points.push({
      tokens: done,
      stateBytes: session.report().stateBytes,
      tensors: memory().numTensors,
      processMB: process.memoryUsage().rss / 2 ** 20,
      microsecondsPerToken: (1000 * spent) / (done - before),
    })
    since = performance.now()
  }
  session.dispose()
  model.dispose()
  return { paper, config: JSON.stringify(config), points }
}
